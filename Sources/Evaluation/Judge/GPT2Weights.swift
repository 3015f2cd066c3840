import Checkpoints
import Files
import Torch

/// The tensors of a GPT-2 in a Hugging Face file, checked by name and shape before any is read.
///
/// Files differ in small ways: names may begin with `transformer.`, old ones hold masks as tensors, and an output layer
/// that is the embedding table may be stored once more or left out.
struct GPT2Weights {
  static let outputName = "lm_head.weight"
  private static let prefix = "transformer."

  /// By their plain names.
  private let tensors: [String: StoredTensor]
  private let device: Device

  /// Reads the weights of a Hugging Face folder, in whichever files and form they are.
  init(folder path: String, for configuration: GPT2Configuration, device: Device) throws {
    let files = try TensorFiles(folder: path) { Self.plain($0) == "wte.weight" }
    self.device = device
    var tensors: [String: StoredTensor] = [:]
    for tensor in files.tensors {
      let plain = Self.plain(tensor.name)
      guard tensors.updateValue(tensor, forKey: plain) == nil else {
        throw FileError("\(path): tensor '\(plain)' is there with and without the prefix '\(Self.prefix)'")
      }
    }
    self.tensors = tensors
    let expected = Self.shapes(configuration)
    var problems = files.problems
    for (name, shape) in expected.sorted(by: { $0.key < $1.key }) {
      guard let stored = tensors[name] else {
        problems.append("'\(name)' \(shape) is missing")
        continue
      }
      if stored.shape != shape { problems.append("'\(stored.name)' has shape \(stored.shape), expected \(shape)") }
      if !stored.dtype.isFloatingPoint {
        problems.append("'\(stored.name)' has type \(stored.dtype.rawValue), expected a floating-point type")
      }
    }
    let unknown = tensors.filter { expected[$0.key] == nil && !Self.isIgnored($0.key) }
    problems += unknown.values.map(\.name).sorted().map { "'\($0)' is not expected" }
    guard problems.isEmpty else {
      let more = problems.count > 8 ? "; and \(problems.count - 8) more" : ""
      throw FileError(
        "\(path): the weights are not those of the GPT-2 that config.json describes: "
          + problems.prefix(8).joined(separator: "; ") + more)
    }
  }

  /// A tensor by its plain name, as float32.
  subscript(name: String) -> Tensor {
    get throws { try tensors[name]!.tensor().to(.float32).to(device) }
  }

  private static func plain(_ name: String) -> String {
    name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
  }

  private static func shapes(_ configuration: GPT2Configuration) -> [String: [Int]] {
    let (hidden, inner) = (configuration.hiddenSize, configuration.innerSize)
    var shapes = [
      "wte.weight": [configuration.vocabularySize, hidden], "wpe.weight": [configuration.positions, hidden],
    ]
    func norm(_ name: String) {
      shapes["\(name).weight"] = [hidden]
      shapes["\(name).bias"] = [hidden]
    }
    func linear(_ name: String, _ input: Int, _ output: Int) {
      shapes["\(name).weight"] = [input, output]
      shapes["\(name).bias"] = [output]
    }
    for block in 0..<configuration.numBlocks {
      let prefix = "h.\(block)"
      norm("\(prefix).ln_1")
      linear("\(prefix).attn.c_attn", hidden, 3 * hidden)
      linear("\(prefix).attn.c_proj", hidden, hidden)
      norm("\(prefix).ln_2")
      linear("\(prefix).mlp.c_fc", hidden, inner)
      linear("\(prefix).mlp.c_proj", inner, hidden)
    }
    norm("ln_f")
    if !configuration.tiesOutput { shapes[outputName] = [configuration.vocabularySize, hidden] }
    return shapes
  }

  /// Causal masks of old files, and the stored copy of a tied output layer.
  private static func isIgnored(_ name: String) -> Bool {
    name == outputName || name.hasPrefix("h.") && (name.hasSuffix(".attn.bias") || name.hasSuffix(".attn.masked_bias"))
  }
}
