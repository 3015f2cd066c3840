/// The names under which checkpoints of the family hold a network's tensors, as `ParameterLayout` has them.
///
/// All methods share one network, so AR, MDLM, BD3-LM and Eso-LM differ here only in which tensors there are. Around the
/// name stand what wraps the network: `backbone.` in the published classes, `module.` and `_orig_mod.` where PyTorch ran
/// it in parallel or compiled.
enum ParameterName: Equatable {
  case parameter(String)
  /// What is no weight: it follows from the sizes, or belongs to training alone.
  case buffer(String)

  private static let wrappers = ["module.", "_orig_mod.", "backbone."]
  private static let buffers: Set = ["rotary_emb.inv_freq", "sampling_eps_min", "sampling_eps_max", "block_diff_mask"]

  /// The buffer whose size tells the number of heads.
  static let frequencies = "rotary_emb.inv_freq"

  init(stored name: String) {
    var rest = name[...]
    while let wrapper = Self.wrappers.first(where: { rest.hasPrefix($0) }) { rest = rest.dropFirst(wrapper.count) }
    self = Self.buffers.contains(String(rest)) ? .buffer(String(rest)) : .parameter(String(rest))
  }
}
