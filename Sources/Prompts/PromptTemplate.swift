import EsoLM
import Tokenizers

/// A text with holes: `The [[5]] sat on [[..20]].`
///
/// `[[5]]` is a hole of five tokens, `[[..20]]` one of at most twenty. `\[[` stands for `[[` itself, and `\\` before a
/// hole for one backslash; any other backslash is one.
public struct PromptTemplate: Sendable, Equatable {
  /// A piece of a template.
  public enum Part: Sendable, Equatable {
    /// Text that is given.
    case text(String)
    /// Tokens that are given, where a text is known by them alone.
    case tokens([Int32])
    /// Tokens to be written.
    case hole(Int)
    /// At most so many tokens.
    case openHole(Int)
    /// As many tokens as the text's length leaves.
    case rest

    /// Whether it is no hole.
    var isGiven: Bool {
      switch self {
      case .text, .tokens: true
      case .hole, .openHole, .rest: false
      }
    }
  }

  /// The pieces, in order.
  public var parts: [Part]

  /// A template of pieces.
  public init(parts: [Part]) { self.parts = parts }

  /// The most tokens of a hole, far above what any network was trained with.
  public static let longestHole = 1 << 20

  /// A template that cannot be read.
  public struct SyntaxError: Error, CustomStringConvertible, Sendable, Equatable {
    /// The place, counted in characters from 1.
    public let place: Int
    /// What is wrong with it.
    public let problem: String
    public var description: String {
      "template: character \(place): \(problem); a hole is [[5]] or [[..5]], and \\[[ stands for [[ itself"
    }
  }

  /// Reads a template.
  ///
  /// - Throws: ``SyntaxError``, which names the place.
  public init(_ template: String) throws {
    let characters = Array(template)
    var parts: [Part] = []
    var text = ""
    var place = 0
    while place < characters.count {
      let slashes = characters[place...].prefix { $0 == "\\" }.count
      guard characters[(place + slashes)...].starts(with: "[[") else {
        let count = max(1, slashes)
        text += String(characters[place..<place + count])
        place += count
        continue
      }
      text += String(repeating: "\\", count: slashes / 2)
      let start = place + slashes
      place = start + 2
      if !slashes.isMultiple(of: 2) {
        text += "[["
        continue
      }
      let inside = characters[place...].prefix { $0 != "]" && $0 != "[" }
      place += inside.count
      guard characters[place...].starts(with: "]]") else {
        throw SyntaxError(place: start + 1, problem: "the hole that begins here has no end ]]")
      }
      place += 2
      let isOpen = inside.starts(with: "..")
      guard let count = Int(String(inside.dropFirst(isOpen ? 2 : 0))), (1...Self.longestHole).contains(count),
        inside.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") })
      else {
        throw SyntaxError(
          place: start + 1, problem: "'\(String(inside))' is no number of tokens from 1 to \(Self.longestHole)")
      }
      if !text.isEmpty { parts.append(.text(text)) }
      text = ""
      parts.append(isOpen ? .openHole(count) : .hole(count))
    }
    if !text.isEmpty { parts.append(.text(text)) }
    self.parts = parts
  }

  /// A text with a hole between two parts, either of which may be empty.
  ///
  /// - Parameters:
  ///   - prompt: the beginning of the text.
  ///   - suffix: its end.
  ///   - hole: how many tokens; nil for as many as the text's length leaves.
  public init(prompt: String, suffix: String = "", hole: Int?) {
    parts = [.text(prompt), hole.map { .hole($0) } ?? .rest, .text(suffix)].filter { $0 != .text("") }
  }

  /// The tokens of the text, nil where one is to be written. Each part becomes tokens by itself.
  ///
  /// - Parameters:
  ///   - tokenizer: the one of the run that writes.
  ///   - length: tokens of the whole text, for a part `rest`.
  ///   - lengths: how many tokens each open hole gets, in order; nil gives each its most.
  /// - Throws: an error of the tokenizer, or ``EsoLM/ConfigurationError`` if a hole has no length that a hole can have, or nothing
  ///   is left for the rest.
  /// - Precondition: `lengths` has a number for each open hole.
  public func tokens(_ tokenizer: any Tokenizer, length: Int = 0, lengths: [Int]? = nil) throws -> [Int32?] {
    try layout(tokenizer, length: length, lengths: lengths).tokens
  }

  /// The same, with the positions of each hole, in order: neighbouring holes stay apart.
  ///
  /// - Parameters:
  ///   - tokenizer: the one of the run that writes.
  ///   - length: tokens of the whole text, for a part `rest`.
  ///   - lengths: how many tokens each open hole gets, in order; nil gives each its most.
  /// - Throws: as ``tokens(_:length:lengths:)``.
  /// - Precondition: `lengths` has a number for each open hole.
  public func layout(
    _ tokenizer: any Tokenizer, length: Int = 0, lengths: [Int]? = nil
  ) throws -> (tokens: [Int32?], holes: [Range<Int>]) {
    var open = 0
    func hole(_ count: Int) throws -> [Int32?] {
      try ConfigurationError.require(
        (1...Self.longestHole).contains(count), "template", "a hole of \(count) tokens",
        expected: "1 to \(Self.longestHole)")
      return Array(repeating: nil, count: count)
    }
    let pieces = try parts.map { part -> [Int32?] in
      switch part {
      case .text(let text): return try tokenizer.encode(text).map { $0 }
      case .tokens(let tokens): return tokens.map { $0 }
      case .hole(let count): return try hole(count)
      case .openHole(let most):
        defer { open += 1 }
        return try hole(lengths?[open] ?? most)
      case .rest: return []
      }
    }
    let count = pieces.reduce(0) { $0 + $1.count }
    var (tokens, holes): ([Int32?], [Range<Int>]) = ([], [])
    for (part, piece) in zip(parts, pieces) {
      let start = tokens.count
      tokens += piece
      if part == .rest {
        try ConfigurationError.require(
          count < length, "length", length, expected: "more than the \(count) given tokens, which fill the text")
        try ConfigurationError.require(
          length <= GenerationRequest.maximumLength, "length", length,
          expected: "at most \(GenerationRequest.maximumLength)")
        tokens += Array(repeating: nil, count: length - count)
      }
      if !part.isGiven { holes.append(start..<tokens.count) }
    }
    return (tokens, holes)
  }

  /// How many tokens its holes have at most, but for a `rest`; nil if no number holds it.
  public var longestHoles: Int? {
    parts.reduce(0) { sum, part in
      guard let sum else { return nil }
      switch part {
      case .hole(let count), .openHole(let count):
        let (total, overflow) = sum.addingReportingOverflow(count)
        return overflow ? nil : total
      case .text, .tokens, .rest: return sum
      }
    }
  }

  /// Whether a hole's length is still to be chosen: it is open, and something follows it.
  public var hasOpenLengths: Bool { openHoles.contains { $0 < parts.count - 1 } }

  /// The places of open holes among the parts.
  var openHoles: [Int] {
    parts.indices.filter { if case .openHole = parts[$0] { true } else { false } }
  }
}
