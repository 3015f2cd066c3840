import EsoLM
import Files
import Foundation

/// The part of a Hugging Face `config.json` that says what a GPT-2 is.
///
/// Fields that change what the network computes, in ways that no published GPT-2 uses, must have their usual values: a
/// judge that is silently another network would give numbers that look right.
public struct GPT2Configuration: Sendable, Equatable {
  /// The number of token ids.
  public let vocabularySize: Int
  /// The longest sequence that has position embeddings.
  public let positions: Int
  /// Width of the network.
  public let hiddenSize: Int
  /// The number of blocks.
  public let numBlocks: Int
  /// The number of attention heads.
  public let numHeads: Int
  /// The width inside the MLP.
  public let innerSize: Int
  /// What is added to variances in layer norms.
  public let normEpsilon: Double
  /// The id that stands between documents.
  public let endOfText: Int32
  /// Whether the output layer is the table of token embeddings.
  public let tiesOutput: Bool

  /// - Throws: a `FileError` naming the file and the field if it is of another architecture or does not fit.
  public init(contentsOf path: String) throws {
    // The architecture comes first: another one lacks the other fields, and the message should say why.
    let architecture: Architecture = try JSONFile.read(from: path)
    guard architecture.modelType == "gpt2" else {
      throw FileError(
        "\(path): field 'model_type' is '\(architecture.modelType.prefix(40))', expected 'gpt2': a judge must be a GPT-2"
      )
    }
    let raw: Raw = try JSONFile.read(from: path)
    do {
      try self.init(raw)
    } catch let error as ConfigurationError {
      throw FileError("\(path): \(error)")
    }
  }

  private init(_ raw: Raw) throws {
    func require(_ condition: Bool, _ field: String, _ found: some CustomStringConvertible, _ expected: String) throws {
      try ConfigurationError.require(condition, field, found, expected: expected)
    }
    func inRange(_ field: String, _ value: Int, _ range: ClosedRange<Int>) throws {
      try require(range.contains(value), field, value, "\(range.lowerBound) to \(range.upperBound)")
    }
    func usual(_ field: String, _ value: Bool?, _ expected: Bool) throws {
      try require((value ?? expected) == expected, field, value ?? expected, "\(expected): only plain GPT-2 is known")
    }
    try inRange("vocab_size", raw.vocabularySize, 2...(1 << 24))
    try inRange("n_positions", raw.positions, 1...(1 << 20))
    try inRange("n_embd", raw.hiddenSize, 1...(1 << 16))
    try inRange("n_layer", raw.numBlocks, 1...1024)
    try inRange("n_head", raw.numHeads, 1...raw.hiddenSize)
    try require(
      raw.hiddenSize % raw.numHeads == 0, "n_head", raw.numHeads, "a divisor of n_embd \(raw.hiddenSize)")
    try inRange("n_inner", raw.innerSize ?? 4 * raw.hiddenSize, 1...(1 << 20))
    let tanhForms = ["gelu_new", "gelu_pytorch_tanh", "gelu_fast"]
    let activation = raw.activation ?? tanhForms[0]
    try require(
      tanhForms.contains(activation), "activation_function", activation, tanhForms.joined(separator: " or "))
    let epsilon = raw.normEpsilon ?? 1e-5
    try require(epsilon > 0 && epsilon < 1, "layer_norm_epsilon", epsilon, "a number between 0 and 1")
    try usual("scale_attn_weights", raw.scalesAttention, true)
    try usual("scale_attn_by_inverse_layer_idx", raw.scalesByLayer, false)
    try usual("add_cross_attention", raw.crossAttention, false)
    let end = raw.endOfText ?? raw.vocabularySize - 1
    try inRange("eos_token_id", end, 0...(raw.vocabularySize - 1))

    vocabularySize = raw.vocabularySize
    positions = raw.positions
    hiddenSize = raw.hiddenSize
    numBlocks = raw.numBlocks
    numHeads = raw.numHeads
    innerSize = raw.innerSize ?? 4 * raw.hiddenSize
    normEpsilon = epsilon
    endOfText = Int32(end)
    tiesOutput = raw.tiesOutput ?? true
  }

  private struct Architecture: Decodable {
    var modelType: String

    enum CodingKeys: String, CodingKey { case modelType = "model_type" }
  }

  private struct Raw: Decodable {
    var vocabularySize: Int
    var positions: Int
    var hiddenSize: Int
    var numBlocks: Int
    var numHeads: Int
    var innerSize: Int?
    var activation: String?
    var normEpsilon: Double?
    var endOfText: Int?
    var tiesOutput: Bool?
    var scalesAttention: Bool?
    var scalesByLayer: Bool?
    var crossAttention: Bool?

    enum CodingKeys: String, CodingKey {
      case vocabularySize = "vocab_size"
      case positions = "n_positions"
      case hiddenSize = "n_embd"
      case numBlocks = "n_layer"
      case numHeads = "n_head"
      case innerSize = "n_inner"
      case activation = "activation_function"
      case normEpsilon = "layer_norm_epsilon"
      case endOfText = "eos_token_id"
      case tiesOutput = "tie_word_embeddings"
      case scalesAttention = "scale_attn_weights"
      case scalesByLayer = "scale_attn_by_inverse_layer_idx"
      case crossAttention = "add_cross_attention"
    }
  }
}
