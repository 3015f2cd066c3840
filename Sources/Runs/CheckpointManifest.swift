import EsoLM
import Files
import Foundation
import Revision

/// `checkpoint.json` of a checkpoint's folder: what it holds, how it came to be, and a checksum of each of its files. It is
/// written last, so a folder without it is not complete.
package struct CheckpointManifest: Codable, Equatable {
  package static let fileName = "checkpoint.json"
  static let currentFormat = 1
  /// What a training step can be: so many that sequences can be counted.
  package static let steps = 0...(1 << 40)

  package struct File: Codable, Equatable {
    package var bytes: Int
    package var sha256: String
  }

  package var formatVersion = currentFormat
  /// The commit of this package that wrote it.
  package var revision = Revision.current
  package var step: Int
  /// Every random draw follows from this seed and the step, so this is all the state that random numbers have.
  package var seed: UInt64
  /// Where training stands in its data: how many sequences it has read since its start.
  package var sequences: Int
  /// BD3-LM: the times that training draws from, where validations choose them.
  package var noiseRange: NoiseRange?
  /// Nats per token of the validation sequences at this step, if they were measured then.
  package var validationNELBO: Double?
  package var files: [String: File] = [:]

  package init(step: Int, seed: UInt64, sequences: Int) {
    self.step = step
    self.seed = seed
    self.sequences = sequences
  }

  /// Writes the manifest of what lies in a folder.
  package mutating func seal(_ folder: String, files names: [String]) throws {
    for name in names {
      let path = "\(folder)/\(name)"
      files[name] = File(bytes: try FileDigest.size(of: path), sha256: try FileDigest.sha256(of: path))
    }
    try JSONFile.write(self, to: "\(folder)/\(Self.fileName)")
  }

  /// The manifest of a folder.
  package static func read(_ folder: String) throws -> CheckpointManifest {
    let path = "\(folder)/\(fileName)"
    let manifest: CheckpointManifest = try JSONFile.read(from: path)
    guard manifest.formatVersion == currentFormat else {
      throw FileError("\(path): formatVersion is \(manifest.formatVersion), expected \(currentFormat)")
    }
    guard steps.contains(manifest.step) else {
      throw FileError("\(path): step is \(manifest.step), expected 0 to \(steps.upperBound)")
    }
    if let name = manifest.files.keys.first(where: { $0.contains("/") || [".", ".."].contains($0) }) {
      throw FileError("\(path): files lists '\(name)', expected names of files in its folder")
    }
    if let range = manifest.noiseRange {
      guard case .fixed(let low, let high) = range, low >= 0, low < high, high <= 1 else {
        throw FileError("\(path): noiseRange is '\(range)', expected two times from 0 to 1")
      }
    }
    return manifest
  }

  /// Throws unless a file is, to the last bit, as it was written.
  ///
  /// - Returns: the file's path.
  package func verified(_ name: String, in folder: String) throws -> String {
    let path = "\(folder)/\(name)"
    guard let expected = files[name] else { throw FileError("\(folder)/\(Self.fileName) does not list \(name)") }
    guard FileManager.default.fileExists(atPath: path) else {
      throw FileError("cannot read \(path): there is no such file")
    }
    let size = try FileDigest.size(of: path)
    guard size == expected.bytes else {
      let pointer = FileKind(ofFile: path) == .gitLFSPointer ? try MappedFile.read(path) : Data()
      throw FileKind.mistake(path, beginning: pointer, expected: "the run's file")
        ?? FileError("\(path) is damaged: it has \(size) bytes, expected \(expected.bytes)")
    }
    let checksum = try FileDigest.sha256(of: path)
    guard checksum == expected.sha256 else {
      throw FileError("\(path) is damaged: its SHA-256 is \(checksum), expected \(expected.sha256)")
    }
    return path
  }
}
