/// Text that cannot be packed as asked.
public enum CorpusError: Error, Hashable, CustomStringConvertible {
  /// The longest block that is accepted, in tokens: beyond what any model attends over.
  public static let maximumLength = 1 << 30

  /// Sequences of a length that none can have.
  case length(Int)
  /// Sequences too short for a beginning, an end and text between them.
  case framedLength(Int)
  /// A share for validation that is not between 0 and 1.
  case validationFraction(Double)
  /// Files were read, and nothing was in them.
  case noText(name: String, skippedLines: Int)
  /// Text that is too short for a sequence, or for one to train and one to validate.
  case tooFewTokens(name: String, found: Int, length: Int, validationFraction: Double?)

  public var description: String {
    switch self {
    case .length(let length):
      "length is \(length); expected 1 to \(Self.maximumLength)"
    case .framedLength(let length):
      "length is \(length); expected at least 3, since two tokens frame each sequence"
    case .validationFraction(let fraction):
      "validation share is \(fraction); expected more than 0 and less than 1"
    case .noText(let name, 0):
      "\(name) holds no text"
    case .noText(let name, let skippedLines):
      "\(name) holds no text: all its \(skippedLines) lines are no valid records and were left out"
    case .tooFewTokens(let name, let found, let length, let fraction?):
      "\(name) has \(found) tokens; length \(length) and a validation share of \(fraction) need at least "
        + "\(2 * length)"
    case .tooFewTokens(let name, let found, let length, nil):
      "\(name) has \(found) tokens; length \(length) needs at least \(length)"
    }
  }
}
