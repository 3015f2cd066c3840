import Foundation
import Reports
import Revision
import Runs
import Torch

extension Recipe {
  /// What this process was told to do, and what does it.
  init(data: String, seed: UInt64?, checkpoint: String? = nil, device: Device) {
    // How results are printed as well is no part of it.
    let arguments = CommandLine.arguments.dropFirst().filter { $0 != "--json" }
    self.init(
      command: (["esolm"] + arguments).map(\.quotedForShell).joined(separator: " "), data: data,
      seed: seed, checkpoint: checkpoint,
      program: "esolm \(EsoLMCommand.release), sources \(Revision.current), libtorch \(Torch.version)",
      machine: "\(device.rawValue), \(device.place), \(ProcessInfo.processInfo.operatingSystemVersionString)")
  }
}

/// What was measured, with how it is made again.
struct Rebuildable<Result: Encodable>: Encodable {
  let result: Result
  let recipe: Recipe

  private enum CodingKeys: CodingKey { case recipe }

  init(_ result: Result, _ recipe: Recipe) {
    self.result = result
    self.recipe = recipe
  }

  func encode(to encoder: any Encoder) throws {
    try result.encode(to: encoder)
    var fields = encoder.container(keyedBy: CodingKeys.self)
    try fields.encode(recipe, forKey: .recipe)
  }
}

extension RunFolder {
  /// What is measured where no other text is named.
  var validationText: String { "what the run kept for validation of \(configuration.data.source.text)" }
}

extension Device {
  /// What of the device computes.
  var place: String { self == .cpu ? Format.threads(Torch.threadCount) : rawValue }
}

extension String {
  /// As a shell takes it for one word.
  fileprivate var quotedForShell: String {
    let plain = unicodeScalars.allSatisfy { scalar in
      scalar.isASCII && (scalar.properties.isAlphabetic || "0123456789_@%+=:,./-".unicodeScalars.contains(scalar))
    }
    return plain && !isEmpty ? self : "'" + replacingOccurrences(of: "'", with: #"'\''"#) + "'"
  }
}

extension DataConfiguration.Source {
  /// What the text is, and what tells whether it is the same.
  var text: String {
    switch self {
    case .file(let path, let fingerprint): "\(path) (fingerprint \(fingerprint))"
    case .corpus(let corpus, let fingerprint):
      "\(corpus.source.name) (packing \(corpus.packing.rawValue)"
        + (corpus.source.detokenizer.map { ", detokenizer \($0.rawValue)" } ?? "")
        + ", SHA-256 of its tokens \(fingerprint))"
    case .toyLanguage(let sequences, let seed): "the toy language (\(sequences) sequences of seed \(seed))"
    case .converted(let path): "unknown; the weights were converted from \(path)"
    }
  }
}
