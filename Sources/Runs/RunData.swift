import Corpora
import EsoLM
import Files
import Foundation
import Tokenizers

extension Corpus {
  /// The data that a configuration names.
  ///
  /// - Parameters:
  ///   - configuration: what a run is trained on.
  ///   - length: tokens of a sequence.
  ///   - tokenizer: the run's.
  ///   - seed: the run's, for what is drawn of the text.
  ///   - progress: called now and then while a token file is made.
  /// - Throws: an error naming the file if it cannot be read, has too little text, or is not what the run began with.
  public init(
    _ configuration: DataConfiguration, length: Int, tokenizer: any Tokenizer, seed: UInt64 = 0,
    progress: (TokenizationProgress) throws -> Void = { _ in }
  ) throws {
    try configuration.validate()
    guard (1...CorpusError.maximumLength).contains(length) else { throw CorpusError.length(length) }
    if let missing = configuration.paths.first(where: { !FileManager.default.fileExists(atPath: $0) }) {
      throw FileError(
        "cannot read \(missing), which the run was trained on: there is no such file; if it was moved, say where it is by "
          + "--data (train --resume with --data keeps that)")
    }
    switch configuration.source {
    case .file(let path, let fingerprint):
      let found = try Self.olderFingerprint(ofFile: path)
      guard found == fingerprint else { throw Self.changed(path, found: found, expected: fingerprint) }
      let source = CorpusSource(paths: [path], format: .text(documents: .file), takesAnyBytes: true)
      let description = CorpusConfiguration(source: source, validation: .share(configuration.validationFraction))
      try self.init(description, length: length, tokenizer: tokenizer, progress: progress)
    case .corpus(var description, let fingerprint):
      // Runs of earlier versions have shorter fingerprints, took every byte as text and knew no seed of windows.
      let isOlder = fingerprint.count < 64
      if isOlder { description.takeAnyBytes() }
      let corpus = try Corpus(
        description, length: length, tokenizer: tokenizer, seed: isOlder ? 0 : seed, progress: progress)
      let found = isOlder ? corpus.olderFingerprint : corpus.fingerprint
      guard found == fingerprint else {
        throw Self.changed(description.source.name, found: found, expected: fingerprint)
      }
      self = corpus
    case .converted(let path):
      throw FileError("the run was converted from \(path) and names no data; start a new one from it with --init-from")
    case .toyLanguage(let sequences, let seed):
      // Both parts get one sequence at least, as of a text.
      let share = Int((Double(sequences) * configuration.validationFraction).rounded())
      let kept = min(max(1, share), sequences - 1)
      self.init(
        training: ToyLanguage.tokenBlocks(count: sequences - kept, length: length, seed: seed),
        validation: ToyLanguage.tokenBlocks(count: kept, length: length, seed: seed, startingAt: sequences - kept))
    }
  }

  private static func changed(_ name: String, found: String, expected: String) -> FileError {
    FileError("\(name): the text has changed since the run began: its fingerprint is \(found), expected \(expected)")
  }

  /// What runs of earlier versions know a text file by (64-bit FNV-1a).
  private static func olderFingerprint(ofFile path: String) throws -> String {
    guard let file = FileHandle(forReadingAtPath: path) else { throw FileError("cannot read \(path)") }
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    while let part = try file.read(upToCount: 1 << 20), !part.isEmpty {
      hash = part.reduce(hash) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
    return String(hash, radix: 16)
  }
}

extension CorpusConfiguration {
  fileprivate mutating func takeAnyBytes() {
    source.takesAnyBytes = true
    guard case .source(var other) = validation else { return }
    other.takesAnyBytes = true
    validation = .source(other)
  }
}

extension DataConfiguration {
  /// The files and folders that the data are read from.
  public var paths: [String] {
    switch source {
    case .file(let path, _): [path]
    case .corpus(let description, _):
      if case .source(let other) = description.validation {
        description.source.paths + other.paths
      } else {
        description.source.paths
      }
    case .toyLanguage, .converted: []
    }
  }

  /// The same data, of which the text now lies elsewhere.
  ///
  /// - Parameters:
  ///   - data: where the text is; empty if that did not change.
  ///   - validation: the same for text of its own that validates.
  /// - Throws: `FileError` if the run has no such text.
  public func moved(to data: [String], validation: [String] = []) throws -> DataConfiguration {
    var moved = self
    switch source {
    case .file(let path, let fingerprint):
      guard validation.isEmpty, data.count < 2 else {
        throw FileError("the run was trained on one file, \(path), expected where that is now")
      }
      moved.source = .file(path: data.first ?? path, fingerprint: fingerprint)
    case .corpus(var description, let fingerprint):
      if !data.isEmpty { description.source.paths = data }
      if !validation.isEmpty {
        guard case .source(var other) = description.validation else {
          throw FileError("the run validates on a part of its text, expected no other files for that")
        }
        other.paths = validation
        description.validation = .source(other)
      }
      // On another machine there may be no such folder, nor may it be made.
      if let folder = description.tokenFolder, !Folder.exists(folder) { description.tokenFolder = nil }
      moved.source = .corpus(description, fingerprint: fingerprint)
    case .toyLanguage, .converted: throw FileError("the run was trained on no text that could have been moved")
    }
    return moved
  }
}
