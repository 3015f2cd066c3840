import Foundation
import Reports
import Revision
import Runs
import Torch

extension Recipe {
  /// What this process was told to do, and what does it.
  init(data: String, seed: UInt64, device: Device) {
    // How results are printed as well is no part of it.
    let arguments = CommandLine.arguments.dropFirst().filter { $0 != "--json" }
    self.init(
      command: (["esolm"] + arguments).map(\.quotedForShell).joined(separator: " "), data: data,
      seed: seed,
      program: "esolm \(EsoLMCommand.release), sources \(Revision.current), libtorch \(Torch.version)",
      machine: "\(device.rawValue), \(device.place), \(ProcessInfo.processInfo.operatingSystemVersionString)")
  }
}

extension Device {
  /// What of the device computes.
  var place: String { self == .cpu ? "\(Torch.threadCount) threads" : rawValue }
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
