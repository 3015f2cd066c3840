import Files
import Torch

/// The tensors of a GPT-2 in a Hugging Face file, checked by name and shape before any is read.
///
/// Files differ in small ways: names may begin with `transformer.`, old ones hold masks as tensors, and an output layer
/// that is the embedding table may be stored once more or left out.
struct GPT2Weights {
  static let outputName = "lm_head.weight"
  private static let prefix = "transformer."

  private let file: SafetensorsFile
  /// From the plain name to the file's.
  private let names: [String: String]
  private let device: Device

  init(contentsOf path: String, for configuration: GPT2Configuration, device: Device) throws {
    file = try SafetensorsFile(contentsOf: path)
    self.device = device
    var names: [String: String] = [:]
    for name in file.entries.keys {
      let plain = name.hasPrefix(Self.prefix) ? String(name.dropFirst(Self.prefix.count)) : name
      guard names.updateValue(name, forKey: plain) == nil else {
        throw FileError("\(path): tensor '\(plain)' is there with and without the prefix '\(Self.prefix)'")
      }
    }
    self.names = names
    let expected = Self.shapes(configuration)
    var problems: [String] = []
    for (name, shape) in expected.sorted(by: { $0.key < $1.key }) {
      guard let stored = names[name], let entry = file.entries[stored] else {
        problems.append("'\(name)' \(shape) is missing")
        continue
      }
      if entry.shape != shape { problems.append("'\(stored)' has shape \(entry.shape), expected \(shape)") }
      if ![.float32, .float64, .float16, .bfloat16].contains(entry.dtype) {
        problems.append("'\(stored)' has type \(entry.dtype.rawValue), expected a floating-point type")
      }
    }
    let unknown = names.filter { expected[$0.key] == nil && !Self.isIgnored($0.key) }
    problems += unknown.values.sorted().map { "'\($0)' is not expected" }
    guard problems.isEmpty else {
      let more = problems.count > 8 ? "; and \(problems.count - 8) more" : ""
      throw FileError(
        "\(path): the weights are not those of the GPT-2 that config.json describes: "
          + problems.prefix(8).joined(separator: "; ") + more)
    }
  }

  /// A tensor by its plain name, as float32.
  subscript(name: String) -> Tensor {
    get throws { try file.tensor(names[name] ?? name).to(.float32).to(device) }
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
