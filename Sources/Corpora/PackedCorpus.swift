import Tokenizers

/// Documents, tokenised and packed into blocks, of which the last ones are kept for validation.
///
/// Packing wastes nothing: `endOfText` after each document, all of them concatenated and cut to blocks, whichever
/// documents a block then holds parts of; only the rest at the end, shorter than a block, is dropped. The split is
/// contiguous, so that training and validation share at most one document.
public struct PackedCorpus: Hashable, Sendable {
  public let training: TokenBlocks
  public let validation: TokenBlocks

  /// - Parameters:
  ///   - documents: the texts; a file may be one, or each of its lines.
  ///   - name: where they come from, for an error's text.
  ///   - tokenizer: how they become tokens.
  ///   - length: the number of tokens in a block.
  ///   - validationFraction: the share of blocks that validates, between 0 and 1, rounded to whole blocks. Both parts
  ///     get one block at least.
  /// - Throws: `CorpusError` if a number is out of range, a document cannot be encoded, or two blocks cannot be filled.
  public init(
    documents: [String], name: String, tokenizer: any Tokenizer, length: Int, validationFraction: Double = 0.1
  ) throws(CorpusError) {
    guard (1...CorpusError.maximumLength).contains(length) else { throw .length(length) }
    guard validationFraction > 0, validationFraction < 1 else { throw .validationFraction(validationFraction) }
    let tokens = try packedTokens(documents, name: name, tokenizer: tokenizer)
    let count = tokens.count / length
    guard count >= 2 else {
      throw .tooFewTokens(name: name, found: tokens.count, length: length, validationFraction: validationFraction)
    }
    let validationCount = min(max(1, Int((Double(count) * validationFraction).rounded())), count - 1)
    let boundary = (count - validationCount) * length
    training = TokenBlocks(cutting: Array(tokens[..<boundary]), length: length)
    validation = TokenBlocks(cutting: Array(tokens[boundary...]), length: length)
  }
}

extension TokenBlocks {
  /// Packs documents as `PackedCorpus` does, without a split.
  ///
  /// - Throws: `CorpusError` as there, except that one block is enough.
  public init(documents: [String], name: String, tokenizer: any Tokenizer, length: Int) throws(CorpusError) {
    guard (1...CorpusError.maximumLength).contains(length) else { throw .length(length) }
    let tokens = try packedTokens(documents, name: name, tokenizer: tokenizer)
    guard tokens.count >= length else {
      throw .tooFewTokens(name: name, found: tokens.count, length: length, validationFraction: nil)
    }
    self.init(cutting: tokens, length: length)
  }
}

private func packedTokens(
  _ documents: [String], name: String, tokenizer: any Tokenizer
) throws(CorpusError) -> [Int32] {
  var tokens: [Int32] = []
  for (index, document) in documents.enumerated() {
    do {
      tokens += try tokenizer.encode(document)
    } catch {
      let place = documents.count > 1 ? "\(name), document \(index + 1)" : name
      throw CorpusError.notEncodable(place: place, reason: "\(error)")
    }
    tokens.append(tokenizer.endOfText)
  }
  return tokens
}

/// Documents that cannot be packed as asked.
public enum CorpusError: Error, Hashable, CustomStringConvertible {
  /// The longest block that is accepted, in tokens: beyond what any model attends over.
  public static let maximumLength = 1 << 30

  case length(Int)
  case framedLength(Int)
  case validationFraction(Double)
  case notEncodable(place: String, reason: String)
  case tooFewTokens(name: String, found: Int, length: Int, validationFraction: Double?)

  public var description: String {
    switch self {
    case .length(let length):
      "length is \(length); expected 1 to \(Self.maximumLength)"
    case .framedLength(let length):
      "length is \(length); expected at least 3, since two tokens frame each sequence"
    case .validationFraction(let fraction):
      "validation share is \(fraction); expected more than 0 and less than 1"
    case .notEncodable(let place, let reason):
      "\(place): \(reason)"
    case .tooFewTokens(let name, let found, let length, let fraction?):
      "\(name) has \(found) tokens; length \(length) and a validation share of \(fraction) need at least "
        + "\(2 * length)"
    case .tooFewTokens(let name, let found, let length, nil):
      "\(name) has \(found) tokens; length \(length) needs at least \(length)"
    }
  }
}
