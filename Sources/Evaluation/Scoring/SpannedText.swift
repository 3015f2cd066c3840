import Files
import Tokenizers

/// A text with ranges of characters: those to be scored, and those that are given.
///
/// Where nothing is said to be given, all that is not scored is. The text becomes tokens piece by piece, so that no token
/// lies across the edge of a range; for a tokenizer that takes a space to the word after it, begin a range with it.
public struct SpannedText: Sendable {
  /// The whole text.
  public let text: String
  /// Ranges of Unicode scalars, from 0, that are scored.
  public let spans: [Range<Int>]
  /// Ranges that are given; nil for everything else.
  public let given: [Range<Int>]?

  /// - Throws: a ``SpanError`` if there is no span, a range is empty or goes beyond the text, or two overlap.
  public init(_ text: String, spans: [Range<Int>], given: [Range<Int>]? = nil) throws {
    let count = text.unicodeScalars.count
    guard !spans.isEmpty else { throw SpanError("no span to score") }
    let places =
      spans.indices.map { SpanError.Place(isGiven: false, index: $0) }
      + (given ?? []).indices.map { SpanError.Place(isGiven: true, index: $0) }
    let all = zip(places, spans + (given ?? [])).sorted { $0.1.lowerBound < $1.1.lowerBound }
    for (place, range) in all where range.isEmpty || range.lowerBound < 0 || range.upperBound > count {
      throw SpanError(
        at: [place],
        "range \(range.lowerBound):\(range.upperBound), expected START:END with 0 ≤ START < END ≤ \(count), "
          + "the text's characters")
    }
    for ((first, a), (second, b)) in zip(all, all.dropFirst()) where a.overlaps(b) {
      throw SpanError(
        at: [first, second],
        "ranges \(a.lowerBound):\(a.upperBound) and \(b.lowerBound):\(b.upperBound) overlap")
    }
    self.text = text
    self.spans = spans
    self.given = given
  }

  /// The text's tokens and what each is for.
  public func passage(_ tokenizer: some Tokenizer) throws -> Passage {
    let scalars = Array(text.unicodeScalars)
    var roles = [Passage.Role](repeating: given == nil ? .given : .open, count: scalars.count)
    for range in given ?? [] { for place in range { roles[place] = .given } }
    for range in spans { for place in range { roles[place] = .scored } }
    // Neighbouring spans stay apart: each begins a piece.
    let edges = Set((spans + (given ?? [])).flatMap { [$0.lowerBound, $0.upperBound] } + [0, scalars.count]).sorted()
    var tokens: [Int32] = []
    var tokenRoles: [Passage.Role] = []
    for (start, end) in zip(edges, edges.dropFirst()) {
      let piece = try tokenizer.encode(String(String.UnicodeScalarView(scalars[start..<end])))
      tokens += piece
      tokenRoles += piece.map { _ in roles[start] }
    }
    guard tokenRoles.contains(.scored) else { throw SpanError("the spans hold no token") }
    return try Passage(tokens: tokens, roles: tokenRoles)
  }
}

/// Ranges that do not fit a text.
public struct SpanError: Error, CustomStringConvertible, Sendable, Equatable {
  /// Which range.
  public struct Place: Sendable, Equatable {
    /// Whether it is one of the given ranges; otherwise it is one of the spans.
    public let isGiven: Bool
    /// Its place among them, from 0.
    public let index: Int
  }

  public let description: String
  /// The ranges at fault; empty where it is none of them.
  public let places: [Place]

  init(at places: [Place] = [], _ description: String) {
    self.description = description
    self.places = places
  }
}
