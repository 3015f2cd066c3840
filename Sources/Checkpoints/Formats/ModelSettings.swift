import EsoLM
import Files

/// What a checkpoint says of its model in words and numbers, under whichever names it uses; nil where it is silent.
public struct ModelSettings: Sendable, Equatable {
  /// As `MethodConfiguration.Algorithm` spells it, where that knows it.
  public var algorithm: String?
  public var alpha0: Double?
  public var weighting: String?
  public var prepend: String?
  /// Which token a text starts from, as `MethodConfiguration.StartToken` spells it.
  public var startToken: String?
  public var length: Int?
  public var vocabularySize: Int?
  public var maskToken: Int?
  public var hiddenSize: Int?
  public var numBlocks: Int?
  public var numHeads: Int?
  public var conditioningSize: Int?
  public var dropout: Double?
  /// Tokens of a block of a block diffusion model.
  public var blockSize: Int?

  public init() {}

  /// Reads the configuration of the published code, in a checkpoint (`model.n_heads`) or a Hugging Face folder
  /// (`n_heads`), or this package's.
  public init(_ plain: PlainValue) {
    func integer(_ paths: String...) -> Int? { paths.lazy.compactMap { plain[$0]?.integer }.first }
    func number(_ paths: String...) -> Double? { paths.lazy.compactMap { plain[$0]?.number }.first }
    func text(_ paths: String...) -> String? { paths.lazy.compactMap { plain[$0]?.text }.first }
    algorithm = Self.algorithm(
      named: text("algo.name", "algorithm", "model_type"),
      diffusion: text("algo.diffusion_attn_mode"), sequential: text("algo.sequential_attn_mode"))
    alpha0 = number("algo.alpha_0", "alpha_0")
    weighting = text("algo.loss_type", "loss_type")
    prepend = text("algo.prepend_token", "prepend_token")
    // Folders of this package that do not say it are older ones.
    startToken = text("start_token") ?? text("algorithm").map { _ in MethodConfiguration.StartToken.end.rawValue }
    length = integer("model.length", "length", "model_length", "n_positions")
    vocabularySize = integer("vocab_size")
    maskToken = integer("mask_index", "mask_token_id")
    hiddenSize = integer("model.hidden_size", "hidden_size", "hidden_dim")
    numBlocks = integer("model.n_blocks", "n_blocks", "num_hidden_layers")
    numHeads = integer("model.n_heads", "n_heads", "num_attention_heads")
    conditioningSize = integer("model.cond_dim", "cond_dim")
    dropout = number("model.dropout", "dropout")
    blockSize = integer("algo.block_size", "block_size")
  }

  /// What this package writes: the names of the published Hugging Face folders.
  public init(_ network: TransformerConfiguration, method: MethodConfiguration) {
    algorithm = method.algorithm.rawValue
    alpha0 = method.alpha0
    weighting = method.weighting?.rawValue
    prepend = method.prepend?.rawValue
    startToken = method.algorithm.startsFromToken ? (method.startToken ?? .end).rawValue : nil
    blockSize = method.blockSize
    length = method.length
    vocabularySize = network.vocabularySize
    maskToken = network.maskToken
    hiddenSize = network.hiddenSize
    numBlocks = network.numBlocks
    numHeads = network.numHeads
    conditioningSize = network.conditioningSize
    dropout = network.dropout
  }

  /// As `config.json` of a Hugging Face folder.
  public var plain: PlainValue {
    func integer(_ key: String, _ value: Int?) -> (String, PlainValue)? { value.map { (key, .integer($0)) } }
    let fields: [(String, PlainValue)?] = [
      ("model_type", .text("esolm")),
      algorithm.map { ("algorithm", .text($0)) },
      alpha0.map { ("alpha_0", .real($0)) },
      weighting.map { ("loss_type", .text($0)) },
      prepend.map { ("prepend_token", .text($0)) },
      startToken.map { ("start_token", .text($0)) },
      integer("block_size", blockSize),
      integer("vocab_size", vocabularySize),
      integer("mask_index", maskToken),
      integer("model_length", length),
      integer("hidden_dim", hiddenSize),
      integer("n_blocks", numBlocks),
      integer("n_heads", numHeads),
      integer("cond_dim", conditioningSize),
      dropout.map { ("dropout", .real($0)) },
      ("time_conditioning", .boolean(false)),
    ]
    return .object(fields.compactMap { $0 }.map { (key: $0.0, value: $0.1) })
  }

  /// Eso-LM's variants are named by how they attend in their two phases.
  private static func algorithm(named name: String?, diffusion: String?, sequential: String?) -> String? {
    guard name == "esolm" else { return name }
    switch (diffusion, sequential) {
    case (nil, nil): return nil
    case (nil, "causal"), ("causal", nil), ("causal", "causal"): return "esolm-b"
    case (nil, "mixed"), ("mixed2", nil), ("mixed2", "mixed"): return "esolm-a"
    default: return "esolm-\(diffusion ?? "none")-\(sequential ?? "none")"
    }
  }

  /// The method that the settings describe, where they are silent the simplest that fits: a network without modulation
  /// is AR's, one with it Eso-LM (B)'s.
  ///
  /// - Throws: an error naming what does not fit, or is missing.
  public func method(for network: TransformerConfiguration, path: String) throws -> MethodConfiguration {
    let name = algorithm ?? (network.conditioningSize == nil ? "ar" : "esolm-b")
    guard let algorithm = MethodConfiguration.Algorithm(rawValue: name) else {
      let known = MethodConfiguration.Algorithm.allCases.map(\.rawValue).joined(separator: ", ")
      throw FileError("\(path): its algorithm is '\(name)', expected one of \(known); name it with --algo")
    }
    let isEsoteric = [.esolmA, .esolmB].contains(algorithm)
    let isWeighted = isEsoteric && alpha0 == 1 || algorithm == .maskedDiffusion
    var method = MethodConfiguration(algorithm: algorithm, length: length ?? Self.usualLength)
    if isEsoteric {
      guard let alpha0 else { throw FileError("\(path) does not say its alpha0; name it with --alpha0") }
      method.alpha0 = alpha0
    }
    if isWeighted { method.weighting = weighting.flatMap { HybridObjective.Weighting(rawValue: $0) } }
    if algorithm == .autoregressive { method.prepend = prepend.flatMap { MethodConfiguration.Prepend(rawValue: $0) } }
    if algorithm == .blockDiffusion { method.blockSize = blockSize }
    if let token = startToken.flatMap(MethodConfiguration.StartToken.init), algorithm.startsFromToken {
      method.startToken = token
    }
    do {
      try method.validate()
    } catch let error as ConfigurationError {
      throw FileError("\(path): \(error)")
    }
    return method
  }

  /// The length of the published models on OpenWebText.
  private static let usualLength = 1024

  /// Given values take the place of what a file says.
  public func overridden(by other: ModelSettings) -> ModelSettings {
    var result = self
    result.algorithm = other.algorithm ?? algorithm
    result.alpha0 = other.alpha0 ?? alpha0
    result.length = other.length ?? length
    result.maskToken = other.maskToken ?? maskToken
    result.numHeads = other.numHeads ?? numHeads
    return result
  }
}
