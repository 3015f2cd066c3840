import EsoLM
import Files
import Foundation
import Torch

/// One recorded case: inputs, weights, and the numbers that a correct implementation computes from them.
///
/// A case is a folder. The part of its name before the first dot says its kind; `config.json` holds the network's sizes
/// and the tolerance, `weights`, `inputs` and `expected.safetensors` the numbers.
struct ParityCase {
  let folder: String
  let kind: String
  let description: Description
  let tolerance: Double
  let inputs: SafetensorsFile
  let expected: SafetensorsFile
  /// Where its networks compute.
  let device: Device

  struct Description: Decodable {
    struct Sizes: Decodable {
      var conditioningSize: Int
      var hiddenSize: Int
      var maskToken: Int
      var numBlocks: Int
      var numHeads: Int
      var vocabularySize: Int

      enum CodingKeys: String, CodingKey {
        case conditioningSize = "cond_dim"
        case hiddenSize = "hidden_size"
        case maskToken = "mask_index"
        case numBlocks = "n_blocks"
        case numHeads = "n_heads"
        case vocabularySize = "vocab_size"
      }
    }

    struct Algorithm: Decodable {
      var alpha0: Double?
      var blockSize: Int?

      enum CodingKeys: String, CodingKey {
        case alpha0 = "alpha_0"
        case blockSize = "block_size"
      }
    }

    var algo: Algorithm?
    var network: Sizes?
    var tolerance: Double?
  }

  /// Cases about judging text rather than about a network of this package.
  private static let kindsWithoutNetwork: Set = ["mauve", "metrics"]

  init(folder: String, device: Device = .cpu) throws {
    self.folder = folder
    self.device = device
    kind = Self.kind(of: folder)
    description = try JSONFile.read(from: "\(folder)/config.json")
    // Cases of MAUVE have no tolerance of their own.
    tolerance = description.tolerance ?? 1e-6
    guard tolerance > 0 else {
      throw FileError("\(folder)/config.json: field 'tolerance' is \(tolerance), expected a number above 0")
    }
    if !Self.kindsWithoutNetwork.contains(kind) {
      guard let size = description.network?.vocabularySize else {
        throw FileError("\(folder)/config.json: field 'network' is missing")
      }
      guard size > 0 else { throw FileError("\(folder)/config.json: field 'network.vocab_size' is \(size)") }
    }
    inputs = try SafetensorsFile(contentsOf: "\(folder)/inputs.safetensors")
    expected = try SafetensorsFile(contentsOf: "\(folder)/expected.safetensors")
  }

  static func kind(of folder: String) -> String {
    let name = URL(fileURLWithPath: folder).standardizedFileURL.lastPathComponent
    return String(name.prefix { $0 != "." })
  }

  /// The sizes of the recorded network.
  private var network: Description.Sizes {
    guard let network = description.network else { fatalError("a case of kind '\(kind)' has no network") }
    return network
  }

  var maskToken: Int { network.maskToken }

  /// The recorded network.
  func model() throws -> TransformerWeights {
    let sizes = network
    let file = try SafetensorsFile(contentsOf: "\(folder)/weights.safetensors")
    let isModulated = file.entries.keys.contains { $0.hasPrefix("sigma_map.") }
    let configuration = TransformerConfiguration(
      vocabularySize: sizes.vocabularySize, maskToken: sizes.maskToken, hiddenSize: sizes.hiddenSize,
      numBlocks: sizes.numBlocks, numHeads: sizes.numHeads,
      conditioningSize: isModulated ? sizes.conditioningSize : nil, dropout: 0)
    let parameters = try Dictionary(uniqueKeysWithValues: file.entries.keys.map { ($0, try file.tensor($0)) })
    return try TransformerWeights(configuration, parameters: parameters, device: device)
  }

  func alpha0() throws -> Double {
    guard let alpha0 = description.algo?.alpha0, (0...1).contains(alpha0) else {
      throw FileError("\(folder)/config.json: field 'algo.alpha_0' must be a number from 0 to 1")
    }
    return alpha0
  }

  // MARK: Inputs

  func numbers(_ name: String) throws -> [Double] { try inputs.tensor(name).array() }

  /// A two-dimensional tensor of integers as rows.
  func rows(_ name: String) throws -> [[Int]] {
    let tensor = try inputs.tensor(name)
    guard tensor.rank == 2 else {
      throw FileError("\(inputs.path): '\(name)' has shape \(tensor.shape), expected two dimensions")
    }
    let (all, width) = (tensor.array(of: Int64.self), tensor.size(1))
    return (0..<tensor.size(0)).map { row in all[row * width..<(row + 1) * width].map(Int.init) }
  }

  /// The one-dimensional integers of a tensor.
  func integers(_ name: String) throws -> [Int] {
    let tensor = try inputs.tensor(name)
    guard tensor.rank == 1, tensor.dtype == .int64 else {
      throw FileError(
        "\(inputs.path): '\(name)' is \(tensor.dtype.rawValue) \(tensor.shape), expected I64 of one dimension")
    }
    return tensor.array(of: Int64.self).map(Int.init)
  }

  func tokens(_ name: String) throws -> [[Int32]] {
    try tokens(name, vocabularySize: network.vocabularySize)
  }

  func tokens(_ name: String, vocabularySize size: Int) throws -> [[Int32]] {
    try rows(name).map { row in
      try row.map { token in
        guard (0..<size).contains(token) else {
          throw FileError("\(inputs.path): '\(name)' holds token \(token), expected 0 to \(size - 1)")
        }
        return Int32(token)
      }
    }
  }

  /// Orders whose leading slots hold tokens that are clean in the noised sequences, which are as long as `length`.
  func orders(_ name: String, noised: [[Int32]], length: Int?) throws -> [GenerationOrder] {
    let rows = try permutations(name)
    guard rows.count == noised.count, (rows + noised.map { $0.map(Int.init) }).allSatisfy({ $0.count == length }) else {
      throw FileError("\(inputs.path): '\(name)' does not fit the sequences")
    }
    return zip(rows, noised).map { positions, tokens in
      GenerationOrder(positions: positions, cleanCount: tokens.count { $0 != Int32(maskToken) })
    }
  }

  func permutations(_ name: String) throws -> [[Int]] {
    let rows = try rows(name)
    for row in rows where row.sorted() != Array(row.indices) {
      throw FileError("\(inputs.path): a row of '\(name)' is no permutation")
    }
    return rows
  }
}

/// How one expected tensor, or one set of texts, came out.
public struct ParityResult: Sendable, Codable {
  /// The case's folder.
  public let folder: String
  /// The tensor's name, or the set's.
  public let tensor: String
  /// The largest absolute difference, infinite where shapes differ or a number is none; the number of wrong texts.
  public let error: Double
  /// What is allowed: the case's tolerance, times the largest expected number where that is above 1. No wrong text is.
  public let tolerance: Double
  /// Why it was not compared; nil where it was.
  public let skipped: String?
  /// Whether the largest error is within the tolerance.
  public var passed: Bool { skipped == nil && error <= tolerance }
  /// Whether it was compared and is not.
  public var failed: Bool { skipped == nil && !passed }

  init(_ parityCase: ParityCase, tensor: String, expected: [Double], found: [Double]) {
    folder = parityCase.folder
    self.tensor = tensor
    let largest = expected.reduce(1) { max($0, abs($1)) }
    tolerance = parityCase.tolerance * largest
    let differences = zip(expected, found).map { abs($0 - $1) }
    error =
      expected.count == found.count && differences.allSatisfy { !$0.isNaN } ? differences.max() ?? 0 : .infinity
    skipped = nil
  }

  init(folder: String, set name: String, of count: Int, wrong: Int) {
    self.folder = folder
    tensor = "\(name), \(count) texts"
    error = Double(wrong)
    tolerance = 0
    skipped = nil
  }

  init(folder: String, skipping name: String, because reason: String) {
    self.folder = folder
    tensor = name
    error = 0
    tolerance = 0
    skipped = reason
  }

  /// For numbers that depend on random draws: how far those found lie outside the range of those recorded.
  init(_ parityCase: ParityCase, tensor: String, range expected: [Double], margin: Double, found: [Double]) {
    folder = parityCase.folder
    self.tensor = tensor
    tolerance = margin
    guard let least = expected.min(), let most = expected.max(), !found.isEmpty, found.allSatisfy(\.isFinite) else {
      error = .infinity
      skipped = nil
      return
    }
    error = found.reduce(0) { max($0, least - $1, $1 - most) }
    skipped = nil
  }
}
