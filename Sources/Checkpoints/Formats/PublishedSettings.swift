import EsoLM
import Files

// The names under which the published code says what a model is: in a Lightning checkpoint (`model.n_heads`) or in the
// `config.json` of a Hugging Face folder (`n_heads`), which this package writes as well.
extension ModelSettings {
  /// Reads a configuration.
  ///
  /// - Parameters:
  ///   - given: what takes the place of what the configuration says, which then need not be readable.
  ///   - path: the file, for messages.
  /// - Throws: an error naming a setting that is none, or one of a model that is not computed here.
  init(published plain: PlainValue, given: ModelSettings = .init(), path: String) throws {
    let reader = SettingsReader(settings: ReferringSettings(root: plain), path: path)
    try reader.requireKnownKind()
    self = given
    func fill<Value>(
      _ field: WritableKeyPath<ModelSettings, Value?>, _ read: () throws -> Value?
    ) throws { if self[keyPath: field] == nil { self[keyPath: field] = try read() } }

    try fill(\.alpha0) { try reader.number("algo.alpha_0", "alpha_0", option: "--alpha0") }
    if algorithm == nil { try readAlgorithm(reader) }
    try fill(\.weighting) { try reader.choice("algo.loss_type", "loss_type") }
    try fill(\.cleanOrder) { try reader.order("keep_clean_unshuffled", "clean_order") }
    try fill(\.maskOrder) { try reader.order("keep_masks_unshuffled", "mask_order") }
    try fill(\.prepend) {
      if let said: MethodConfiguration.Prepend = try reader.choice(
        "algo.prepend_token", "prepend_token", option: "--prepend")
      {
        return said
      }
      // Configurations that know no such setting are of code that trains x[1:] given x[:-1]. Ours always have one, but
      // for folders of earlier versions, which left out what was usual. Without a configuration nothing is said.
      guard case .object(let fields) = plain, !fields.isEmpty else { return nil }
      return plain["algorithm"] == nil ? MethodConfiguration.Prepend.none : .mask
    }
    try fill(\.blockSize) { try reader.integer("algo.block_size", "block_size", option: "--block-size") }
    try fill(\.keepsFirstToken) {
      try reader.boolean("algo.ignore_bos", "ignore_bos", option: "--keep-first-token") == true ? true : nil
    }
    try fill(\.noiseRange) { try reader.noiseRange() }
    try fill(\.resamplesMasks) {
      try reader.boolean("training.resample", "resample") == true ? true : nil
    }
    // Folders of this package that do not say it are older ones.
    try fill(\.startToken) { try reader.choice("start_token") ?? (plain["algorithm"] == nil ? nil : .end) }
    try fill(\.length) {
      try reader.integer("model.length", "length", "model_length", "n_positions", option: "--length")
    }
    try fill(\.vocabularySize) { try reader.integer("vocab_size") }
    try fill(\.maskToken) { try reader.integer("mask_index", "mask_token_id", option: "--mask-token") }
    try fill(\.hiddenSize) { try reader.integer("model.hidden_size", "hidden_size", "hidden_dim") }
    try fill(\.numBlocks) { try reader.integer("model.n_blocks", "n_blocks", "num_hidden_layers") }
    try fill(\.numHeads) {
      try reader.integer("model.n_heads", "n_heads", "num_attention_heads", option: "--heads")
    }
    try fill(\.conditioningSize) { try reader.integer("model.cond_dim", "cond_dim") }
    try fill(\.dropout) { try reader.number("model.dropout", "dropout") }
  }

  private mutating func readAlgorithm(_ reader: SettingsReader) throws {
    guard let name = try reader.text("algo.name", "algorithm", "model_type", option: "--algo") else {
      // MDLM's first release names no method; of its parameterizations these are left.
      switch try reader.text("algo.parameterization", "parameterization") {
      case "subs"?: algorithm = .maskedDiffusion
      case "ar"?: algorithm = .autoregressive
      default: break
      }
      return
    }
    guard name.lowercased() == "esolm" else {
      algorithm = .init(rawValue: name)
      otherAlgorithm = algorithm == nil ? name : nil
      return
    }
    // Eso-LM's variants are named by how they attend in the phases that they have.
    let diffusion = alpha0 == 0 ? nil : try reader.text("algo.diffusion_attn_mode", option: "--algo")
    let sequential = alpha0 == 1 ? nil : try reader.text("algo.sequential_attn_mode", option: "--algo")
    switch (diffusion, sequential) {
    case (nil, nil): break
    case (nil, "causal"), ("causal", nil), ("causal", "causal"): algorithm = .esolmB
    case (nil, "mixed"), ("mixed2", nil), ("mixed2", "mixed"): algorithm = .esolmA
    default: otherAlgorithm = "esolm with \(diffusion ?? "no") and \(sequential ?? "no") attention"
    }
  }

  /// As `config.json` of a Hugging Face folder.
  var plain: PlainValue {
    func integer(_ key: String, _ value: Int?) -> (String, PlainValue)? { value.map { (key, .integer($0)) } }
    func real(_ key: String, _ value: Double?) -> (String, PlainValue)? { value.map { (key, .real($0)) } }
    func text(_ key: String, _ value: String?) -> (String, PlainValue)? { value.map { (key, .text($0)) } }
    let fields: [(String, PlainValue)?] = [
      text("model_type", "esolm"),
      text("algorithm", algorithm?.rawValue),
      real("alpha_0", alpha0),
      text("loss_type", weighting?.rawValue),
      text("clean_order", cleanOrder?.rawValue),
      text("mask_order", maskOrder?.rawValue),
      text("prepend_token", prepend?.rawValue),
      integer("block_size", blockSize),
      resamplesMasks.map { ("resample", .boolean($0)) },
      keepsFirstToken.map { ("ignore_bos", .boolean($0)) },
      text("start_token", startToken?.rawValue),
      integer("vocab_size", vocabularySize),
      integer("mask_index", maskToken),
      integer("model_length", length),
      integer("hidden_dim", hiddenSize),
      integer("n_blocks", numBlocks),
      integer("n_heads", numHeads),
      integer("cond_dim", conditioningSize),
      real("dropout", dropout),
      ("time_conditioning", .boolean(false)),
    ]
    return .object((fields.compactMap { $0 } + (noiseRange?.published ?? [])).map { (key: $0.0, value: $0.1) })
  }
}

extension NoiseRange {
  /// The range of clipped training times that two bounds name; nil if they clip nothing. Bounds that only keep away from
  /// 0 and 1, as the published code's usual ones do, count as none.
  init?(clippedFrom low: Double, to high: Double) {
    let (low, high) = (low <= 1e-3 ? 0 : low, high >= 0.999 ? 1 : high)
    guard low > 0 || high < 1 else { return nil }
    self = .fixed(low: low, high: high)
  }

  fileprivate var published: [(String, PlainValue)] {
    switch self {
    case .fixed(let low, let high): [("sampling_eps_min", .real(low)), ("sampling_eps_max", .real(high))]
    case .search: [("var_min", .boolean(true)), ("clip_search_widths", .list([.real(0.5)]))]
    }
  }
}

/// Settings by their names, each under the first of several that is there.
struct SettingsReader {
  let settings: ReferringSettings
  let path: String

  /// A value, and the name that it stands under; nil where there is none under any name.
  private func find(_ names: [String], _ option: String?) throws -> (name: String, value: PlainValue)? {
    for name in names {
      do {
        if let value = try settings.value(at: name), value != .null { return (name, value) }
      } catch let error as ReferringSettings.Unresolved {
        throw FileError("\(path): \(name) \(error.reason)" + (option.map { "; name it with \($0)" } ?? ""))
      }
    }
    return nil
  }

  private func read<Value>(
    _ names: [String], _ option: String?, expected: @autoclosure () -> String, _ convert: (PlainValue) -> Value?
  ) throws -> Value? {
    guard let (name, found) = try find(names, option) else { return nil }
    guard let value = convert(found) else {
      throw FileError(
        "\(path): \(name) is '\(found.description.prefix(60))', expected \(expected())"
          + (option.map { "; name it with \($0)" } ?? ""))
    }
    return value
  }

  func integer(_ names: String..., option: String? = nil) throws -> Int? {
    try read(names, option, expected: "a whole number") { $0.integer ?? $0.number.flatMap { Int(exactly: $0) } }
  }

  func number(_ names: String..., option: String? = nil) throws -> Double? {
    try read(names, option, expected: "a number") { $0.number }
  }

  func boolean(_ names: String..., option: String? = nil) throws -> Bool? {
    try read(names, option, expected: "true or false") { $0.boolean }
  }

  func text(_ names: String..., option: String? = nil) throws -> String? {
    try read(names, option, expected: "a text") { $0.text }
  }

  func choice<Choice: RawRepresentable & CaseIterable>(
    _ names: String..., option: String? = nil
  ) throws -> Choice? where Choice.RawValue == String {
    let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
    return try read(names, option, expected: "one of \(known)") { $0.text.flatMap { Choice(rawValue: $0) } }
  }

  /// How tokens of one kind stand in the diffusion term: said by the authors' code as whether they are kept unshuffled.
  func order(_ flag: String, _ name: String) throws -> DiffusionOrders.Order? {
    if let said: DiffusionOrders.Order = try choice(name) { return said }
    return try boolean("algo.\(flag)") == true ? .leftToRight : nil
  }

  /// The clipped times of a block diffusion model, or that they are searched for.
  func noiseRange() throws -> NoiseRange? {
    let option = "--noise-range"
    func time(_ name: String) throws -> Double? {
      try read(["training.\(name)", name], option, expected: "a time from 0 to 1") { value in
        value.number.flatMap { (0...1).contains($0) ? $0 : nil }
      }
    }
    let (low, high) = (try time("sampling_eps_min"), try time("sampling_eps_max"))
    if let range = NoiseRange(clippedFrom: low ?? 0, to: high ?? 1) { return range }
    guard try boolean("algo.var_min", "var_min", option: option) == true,
      case .list(let widths)? = try find(["algo.clip_search_widths", "clip_search_widths"], option)?.value
    else { return nil }
    return widths.isEmpty ? nil : .search
  }

  /// Throws if the configuration is of a model that would compute other numbers here, whatever it is called.
  func requireKnownKind() throws {
    let known: [(names: [String], expected: [String])] = [
      (["algo.parameterization", "parameterization"], ["subs", "ar"]), (["diffusion"], ["absorbing_state"]),
    ]
    for (names, expected) in known {
      guard let (name, value) = try find(names, nil), case .text(let found) = value, !expected.contains(found) else {
        continue
      }
      throw FileError(
        "\(path): \(name) is '\(found.prefix(60))', expected \(expected.joined(separator: " or ")): "
          + "models of another kind are not computed here")
    }
    if try boolean("algo.time_conditioning", "time_conditioning") == true {
      throw FileError(
        "\(path): time_conditioning is true, expected false: networks that read the time are not computed here")
    }
  }
}
