/// The names under which checkpoints of the family hold a network's tensors, as `ParameterLayout` has them.
///
/// All methods share one network, so AR, MDLM, BD3-LM and Eso-LM differ here only in which tensors there are. Around the
/// name, or within, stand those of what wraps the network or a part of it: `backbone` in the published classes, `model`
/// and `module` in others, and what PyTorch puts there when it compiles or distributes.
enum ParameterName: Equatable {
  case parameter(String)
  /// What is no weight: it follows from the sizes, or belongs to training alone.
  case buffer(String)

  private static let wrappers: Set<Substring> = [
    "backbone", "model", "module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module",
    "_forward_module",
  ]
  private static let buffers: Set = [frequencies, noiseLow, noiseHigh, "block_diff_mask"]

  /// The buffer whose size tells the number of heads.
  static let frequencies = "rotary_emb.inv_freq"
  /// The buffers that hold the times which training draws from.
  static let (noiseLow, noiseHigh) = ("sampling_eps_min", "sampling_eps_max")
  /// The tensor that every network of the family has.
  static let embedding = "vocab_embed.embedding"

  init(stored name: String) {
    let rest = name.split(separator: ".", omittingEmptySubsequences: false).filter { !Self.wrappers.contains($0) }
      .joined(separator: ".")
    self = Self.buffers.contains(rest) ? .buffer(rest) : .parameter(rest)
  }

  /// Whether a dictionary with a tensor of this name holds a network of the family.
  static func marksNetwork(_ name: String) -> Bool { ParameterName(stored: name) == .parameter(embedding) }
}
