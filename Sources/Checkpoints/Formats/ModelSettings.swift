import EsoLM
import Files

/// What a checkpoint says of its model and of the method that trained it; nil where it is silent.
public struct ModelSettings: Sendable, Equatable {
  /// The method.
  public var algorithm: Algorithm?
  /// The name of a method that is none of ours.
  public var otherAlgorithm: String?
  /// Eso-LM: the share of tokens that diffusion writes.
  public var alpha0: Double?
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
  /// Width of the network.
  public var hiddenSize: Int?
  /// The number of blocks.
  public var numBlocks: Int?
  /// The number of attention heads.
  public var numHeads: Int?
  /// Width of the conditioning; nil without adaptive norms.
  public var conditioningSize: Int?
  /// The chance of dropout in training.
  public var dropout: Double?

  /// Settings that say nothing.
  public init() {}

  /// All that a method has.
  public init(_ method: MethodConfiguration) {
    algorithm = method.algorithm
    alpha0 = method.alpha0
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
    hiddenSize = network.hiddenSize
    numBlocks = network.numBlocks
    numHeads = network.numHeads
    conditioningSize = network.conditioningSize
    dropout = network.dropout
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
    fill(\.hiddenSize)
    fill(\.numBlocks)
    fill(\.numHeads)
    fill(\.conditioningSize)
    fill(\.dropout)
    return result
  }

  /// These settings without what belongs to one method and not to another: for training by another one.
  var withoutMethod: ModelSettings {
    var result = self
    (result.algorithm, result.otherAlgorithm, result.alpha0, result.weighting) = (nil, nil, nil, nil)
    (result.cleanOrder, result.maskOrder) = (nil, nil)
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
