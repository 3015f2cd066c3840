import Checkpoints
import Corpora
import EsoLM
import Files
import Foundation
import Tokenizers

/// The sequences that a run trains on and those kept for validation.
public struct DataSet: Sendable {
  public let training: TokenBlocks
  public let validation: TokenBlocks

  /// The data that a configuration names.
  ///
  /// - Throws: an error naming the file if it cannot be read, has too little text, or is not what the run began with.
  public init(_ configuration: DataConfiguration, length: Int, tokenizer: any Tokenizer) throws {
    switch configuration.source {
    case .file(let path, let fingerprint):
      let text = try TextFile.read(path)
      let found = Self.fingerprint(of: text)
      guard found == fingerprint else {
        throw FileError("\(path) has changed since the run began: its fingerprint is \(found), expected \(fingerprint)")
      }
      let corpus = try PackedCorpus(
        documents: [text], name: path, tokenizer: tokenizer, length: length,
        validationFraction: configuration.validationFraction)
      (training, validation) = (corpus.training, corpus.validation)
    case .corpus(let description, let fingerprint):
      let corpus = try Corpus(description, length: length, tokenizer: tokenizer)
      guard corpus.fingerprint == fingerprint else {
        throw FileError(
          "\(description.source.paths.joined(separator: ", ")): the text has changed since the run began: its tokens' "
            + "fingerprint is \(corpus.fingerprint), expected \(fingerprint)")
      }
      (training, validation) = (corpus.training, corpus.validation)
    case .converted(let path):
      throw FileError("the run was converted from \(path) and names no data; start a new one from it with --init-from")
    case .toyLanguage(let sequences, let seed):
      // Both parts get one sequence at least, as of a text.
      let share = Int((Double(sequences) * configuration.validationFraction).rounded())
      let kept = min(max(1, share), sequences - 1)
      training = ToyLanguage.tokenBlocks(count: sequences - kept, length: length, seed: seed)
      validation = ToyLanguage.tokenBlocks(count: kept, length: length, seed: seed, startingAt: sequences - kept)
    }
  }

  /// A short text that differs for different texts, barring accidents (64-bit FNV-1a).
  public static func fingerprint(of text: String) -> String {
    let hash = text.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    return String(hash, radix: 16)
  }
}
