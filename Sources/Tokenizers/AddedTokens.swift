/// A token that is found in a text as it stands, before any other rule applies, such as `<|endoftext|>`.
public struct AddedToken: Hashable, Sendable {
  public var id: Int32
  /// The text that becomes the token.
  public var content: String
  /// Whether it marks something instead of standing for text.
  public var isSpecial: Bool
  /// Whether it is found only where no letter, digit or underscore touches it.
  public var isWholeWord: Bool
  /// Whether white space on its left, or right, belongs to it.
  public var stripsLeft: Bool
  /// Whether white space behind it goes with it.
  public var stripsRight: Bool
  /// Whether it is found in the normalised text.
  public var isNormalized: Bool

  /// A token by its parts.
  public init(
    id: Int32, content: String, isSpecial: Bool = true, isWholeWord: Bool = false, stripsLeft: Bool = false,
    stripsRight: Bool = false, isNormalized: Bool = false
  ) {
    self.id = id
    self.content = content
    self.isSpecial = isSpecial
    self.isWholeWord = isWholeWord
    self.stripsLeft = stripsLeft
    self.stripsRight = stripsRight
    self.isNormalized = isNormalized
  }

  // Byte by byte: for Swift's strings two canonically equivalent texts are one.
  public static func == (first: AddedToken, second: AddedToken) -> Bool {
    first.id == second.id && first.content.utf8.elementsEqual(second.content.utf8) && first.flags == second.flags
  }

  public func hash(into hasher: inout Hasher) { hasher.combine(id) }

  private var flags: [Bool] { [isSpecial, isWholeWord, stripsLeft, stripsRight, isNormalized] }
}

/// Finds added tokens in a text: the leftmost, of several there the longest. One that should be a whole word and is none
/// stays text, and hides what lies inside it.
struct AddedTokenFinder: Sendable {
  /// What a text is cut into.
  enum Part {
    case text(Range<Int>)
    case token(Int32)
  }

  private struct Pattern: Sendable {
    let token: AddedToken
    let bytes: [UInt8]
  }

  /// By first byte, the tokens from long to short.
  private let patterns: [[Pattern]]
  private let isFirst: [Bool]
  let isEmpty: Bool

  /// Whether a token may reach over white space, or depends on what is beside it.
  let readsContext: Bool

  /// - Parameter contents: each token and the bytes to look for.
  /// - Throws: `VocabularyError` if two tokens have the same bytes.
  init(_ contents: [(token: AddedToken, bytes: [UInt8])]) throws(VocabularyError) {
    var patterns = [[Pattern]](repeating: [], count: 256)
    var known: [[UInt8]: AddedToken] = [:]
    for (token, bytes) in contents where !bytes.isEmpty {
      if let other = known.updateValue(token, forKey: bytes) {
        if other == token { continue }
        throw .indistinct(other, token)
      }
      patterns[Int(bytes[0])].append(Pattern(token: token, bytes: bytes))
    }
    self.patterns = patterns.map { $0.sorted { $0.bytes.count > $1.bytes.count } }
    isFirst = patterns.map { !$0.isEmpty }
    isEmpty = contents.isEmpty
    readsContext = contents.contains { token, bytes in
      token.isWholeWord || token.stripsLeft || token.stripsRight || bytes.contains { $0 <= 0x20 || $0 >= 0x80 }
    }
  }

  /// Calls `body` with the parts of a text in their order.
  func forEachPart(of text: UnsafeBufferPointer<UInt8>, _ body: (Part) throws -> Void) rethrows {
    var (start, place) = (0, 0)
    guard !isEmpty else { return try text.isEmpty ? () : body(.text(0..<text.count)) }
    while place < text.count {
      guard isFirst[Int(text[place])], let (token, length) = match(at: place, in: text) else {
        place += 1
        continue
      }
      guard !token.isWholeWord || isWord(place..<place + length, in: text) else {
        place += length
        continue
      }
      var (left, right) = (place, place + length)
      if token.stripsLeft { while let before = spaceBefore(left, in: text, from: start) { left = before } }
      if token.stripsRight { while let after = spaceAfter(right, in: text) { right = after } }
      if start < left { try body(.text(start..<left)) }
      try body(.token(token.id))
      (start, place) = (right, right)
    }
    if start < text.count { try body(.text(start..<text.count)) }
  }

  private func match(at place: Int, in text: UnsafeBufferPointer<UInt8>) -> (AddedToken, Int)? {
    let rest = text[place...]
    guard let found = patterns[Int(text[place])].first(where: { rest.starts(with: $0.bytes) }) else { return nil }
    return (found.token, found.bytes.count)
  }

  /// Whether no character of a word touches a range.
  private func isWord(_ range: Range<Int>, in text: UnsafeBufferPointer<UInt8>) -> Bool {
    if let before = scalarBefore(range.lowerBound, in: text), isWordCharacter(before) { return false }
    guard range.upperBound < text.count else { return true }
    return UTF8Scalars.scalar(at: range.upperBound, in: text).scalar.map(isWordCharacter) != true
  }

  private func isWordCharacter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .decimalNumber, .letterNumber, .connectorPunctuation, .nonspacingMark, .spacingMark, .enclosingMark: true
    default: scalar.properties.isAlphabetic
    }
  }

  private func scalarBefore(_ end: Int, in text: UnsafeBufferPointer<UInt8>) -> Unicode.Scalar? {
    guard let start = text[..<end].lastIndex(where: { $0 & 0xC0 != 0x80 }) else { return nil }
    return UTF8Scalars.scalar(at: start, in: text).scalar
  }

  private func spaceBefore(_ end: Int, in text: UnsafeBufferPointer<UInt8>, from least: Int) -> Int? {
    guard let start = text[least..<max(least, end)].lastIndex(where: { $0 & 0xC0 != 0x80 }),
      UTF8Scalars.scalar(at: start, in: text).scalar?.properties.isWhitespace == true
    else { return nil }
    return start
  }

  private func spaceAfter(_ start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int? {
    guard start < text.count else { return nil }
    let (scalar, end) = UTF8Scalars.scalar(at: start, in: text)
    return scalar?.properties.isWhitespace == true ? end : nil
  }
}
