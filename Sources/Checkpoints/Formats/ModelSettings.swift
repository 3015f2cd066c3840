import EsoLM
import Files
import Runs

/// What a checkpoint says of its model and of the method that trained it; nil where it is silent.
public struct ModelSettings: Sendable, Equatable {
  /// The method.
  public var algorithm: Algorithm?
  /// The name of a method that is none of ours.
  public var otherAlgorithm: String?
  /// Eso-LM: the share of tokens that diffusion writes.
  public var alpha0: Double?
  /// Eso-LM: what training minimised.
  public var objective: MethodConfiguration.Objective?
  /// The any-order objective's share of sequences from left to right.
  public var leftToRightShare: Double?
  /// How training weighed masked tokens.
  public var weighting: HybridObjective.Weighting?
  /// Eso-LM: how clean tokens stood in the diffusion term.
  public var cleanOrder: DiffusionOrders.Order?
  /// Eso-LM: how masked ones stood there.
  public var maskOrder: DiffusionOrders.Order?
  /// AR: what its texts start from.
  public var prepend: MethodConfiguration.Prepend?
  /// Tokens of a block of a block diffusion model.
  public var blockSize: Int?
  /// BD3-LM: the times that it trained on.
  public var noiseRange: NoiseRange?
  /// BD3-LM: whether masks of a block were drawn again until their share lay in `noiseRange`.
  public var resamplesMasks: Bool?
  /// BD3-LM: whether the first token is always given.
  public var keepsFirstToken: Bool?
  /// Which token a sequence starts from, where it starts from one.
  public var startToken: MethodConfiguration.StartToken?
  /// Tokens of a sequence.
  public var length: Int?
  /// The number of token ids, the mask included.
  public var vocabularySize: Int?
  /// The mask token's id.
  public var maskToken: Int?
  /// The network's sizes and dropout, none by the name of a size.
  public var network = NetworkSettings()

  /// Settings that say nothing.
  public init() {}

  /// All that a method has.
  public init(_ method: MethodConfiguration) {
    algorithm = method.algorithm
    alpha0 = method.alpha0
    objective = method.objective
    leftToRightShare = method.leftToRightShare
    weighting = method.weighting
    cleanOrder = method.cleanOrder
    maskOrder = method.maskOrder
    prepend = method.algorithm.options.contains(.prepend) ? method.prepend ?? .mask : nil
    blockSize = method.blockSize
    noiseRange = method.noiseRange
    resamplesMasks = method.resamplesMasks
    keepsFirstToken = method.keepsFirstToken
    startToken = method.algorithm.options.contains(.startToken) ? method.startToken ?? .end : nil
    length = method.length
  }

  /// All that a network and its method have.
  public init(_ network: TransformerConfiguration, method: MethodConfiguration) {
    self.init(method)
    vocabularySize = network.vocabularySize
    maskToken = network.maskToken
    self.network = NetworkSettings(network)
  }

  /// These settings, and where they are silent those of another.
  public func filled(by other: ModelSettings) -> ModelSettings {
    var result = self
    func fill<Value>(_ field: WritableKeyPath<ModelSettings, Value?>) {
      result[keyPath: field] = result[keyPath: field] ?? other[keyPath: field]
    }
    fill(\.algorithm)
    fill(\.otherAlgorithm)
    fill(\.alpha0)
    fill(\.objective)
    fill(\.leftToRightShare)
    fill(\.weighting)
    fill(\.cleanOrder)
    fill(\.maskOrder)
    fill(\.prepend)
    fill(\.blockSize)
    fill(\.noiseRange)
    fill(\.resamplesMasks)
    fill(\.keepsFirstToken)
    fill(\.startToken)
    fill(\.length)
    fill(\.vocabularySize)
    fill(\.maskToken)
    fill(\.network.hiddenSize)
    fill(\.network.numBlocks)
    fill(\.network.numHeads)
    fill(\.network.conditioningSize)
    fill(\.network.dropout)
    return result
  }

  /// These settings without what belongs to one method and not to another: for training by another one.
  var withoutMethod: ModelSettings {
    var result = self
    (result.algorithm, result.otherAlgorithm, result.alpha0, result.weighting) = (nil, nil, nil, nil)
    (result.objective, result.leftToRightShare, result.cleanOrder, result.maskOrder) = (nil, nil, nil, nil)
    (result.prepend, result.blockSize, result.noiseRange, result.keepsFirstToken) = (nil, nil, nil, nil)
    (result.resamplesMasks, result.startToken) = (nil, nil)
    return result
  }

  /// The method that the settings describe. Nothing is filled in: what decides about its numbers must be said. That a
  /// network without modulation is AR's is no guess, since no other method has one.
  ///
  /// - Parameter given: what was asked for by name, so that it is an error if it belongs to another method.
  /// - Throws: an error naming what does not fit, or is missing and how to say it.
  func method(
    for network: TransformerConfiguration, path: String, given: ModelSettings = .init()
  ) throws -> MethodConfiguration {
    func said<Value>(_ value: Value?, _ what: String, _ option: String) throws -> Value {
      guard let value else { throw FileError("\(path) does not say its \(what); name it with \(option)") }
      return value
    }
    let known = Algorithm.allCases.map(\.rawValue).joined(separator: ", ")
    if algorithm == nil, let otherAlgorithm {
      throw FileError(
        "\(path): its algorithm is '\(otherAlgorithm.prefix(60))', expected one of \(known); "
          + "if it is one of these, name it with --algo")
    }
    let algorithm = try said(
      algorithm ?? (network.conditioningSize == nil ? .autoregressive : nil), "algorithm", "--algo (\(known))")

    var method = MethodConfiguration(algorithm: algorithm, length: try said(length, "length", "--length"))
    /// What the settings say of an option of the algorithm's; of another's, what was asked for.
    func option<Value>(
      _ option: MethodConfiguration.Option, _ field: KeyPath<ModelSettings, Value?>, _ what: String = "",
      _ name: String = ""
    ) throws -> Value? {
      guard algorithm.options.contains(option) else { return given[keyPath: field] }
      return algorithm.required.contains(option) ? try said(self[keyPath: field], what, name) : self[keyPath: field]
    }
    method.alpha0 = try option(.alpha0, \.alpha0, "alpha0", "--alpha0")
    method.objective = try option(.objective, \.objective)
    method.leftToRightShare = try option(.leftToRightShare, \.leftToRightShare)
    // How the loss was weighed is said of pure diffusion alone.
    method.weighting = method.alpha0 ?? 1 == 1 ? try option(.weighting, \.weighting) : given.weighting
    method.cleanOrder = try option(.cleanOrder, \.cleanOrder)
    method.maskOrder = try option(.maskOrder, \.maskOrder)
    method.prepend = try option(.prepend, \.prepend, "prepended token", "--prepend")
    method.blockSize = try option(.blockSize, \.blockSize, "block size", "--block-size")
    method.noiseRange = try option(.noiseRange, \.noiseRange)
    method.resamplesMasks = try option(.resamplesMasks, \.resamplesMasks)
    method.keepsFirstToken = try option(.keepsFirstToken, \.keepsFirstToken)
    if let startToken = try option(.startToken, \.startToken) { method.startToken = startToken }
    do {
      try method.validate()
    } catch let error as ConfigurationError {
      throw FileError("\(path): \(error)")
    }
    return method
  }
}

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
    let reader = SettingsReader(plain, path: path)
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
    try fill(\.network.hiddenSize) { try reader.integer("model.hidden_size", "hidden_size", "hidden_dim") }
    try fill(\.network.numBlocks) { try reader.integer("model.n_blocks", "n_blocks", "num_hidden_layers") }
    try fill(\.network.numHeads) {
      try reader.integer("model.n_heads", "n_heads", "num_attention_heads", option: "--heads")
    }
    try fill(\.network.conditioningSize) { try reader.integer("model.cond_dim", "cond_dim") }
    try fill(\.network.dropout) { try reader.number("model.dropout", "dropout") }
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
      integer("hidden_dim", network.hiddenSize),
      integer("n_blocks", network.numBlocks),
      integer("n_heads", network.numHeads),
      integer("cond_dim", network.conditioningSize),
      real("dropout", network.dropout),
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
