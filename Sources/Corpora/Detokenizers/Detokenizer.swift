/// The rules by which the published evaluations turn tokenised text back into ordinary text: spaces around punctuation
/// go, `@-@` becomes `-`, and the like. Their order and their oddities are kept, since they decide about perplexities.
public enum Detokenizer: String, CaseIterable, Codable, Sendable {
  /// WikiText's: ` @-@ `, spaces before punctuation, headings.
  case wikitext
  /// Penn Treebank's: contractions, `N`, `<unk>`.
  case ptb
  /// One Billion Words': addresses, apostrophes and punctuation set apart.
  case lm1b
  /// LAMBADA's: typographic quotes.
  case lambada
  /// That of the papers of arXiv and PubMed.
  case scientificPapers = "scientific_papers"

  /// A text as ordinary text.
  public func apply(to text: String) -> String {
    String(decoding: apply(to: Array(text.utf8)), as: UTF8.self)
  }

  /// Rewrites bytes. Those that are not UTF-8 stay.
  public func apply(to bytes: [UInt8]) -> [UInt8] {
    var text = ByteText(bytes)
    switch self {
    case .wikitext: Self.wikitext(&text)
    case .ptb: Self.ptb(&text)
    case .lm1b: Self.lm1b(&text)
    case .lambada: Self.lambada(&text)
    case .scientificPapers:
      Self.wikitext(&text)
      Self.lm1b(&text)
    }
    return text.bytes
  }

  private static func wikitext(_ text: inout ByteText) {
    text.replace([("s '", "s'")])
    text.replace([(" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", ".")])
    text.replace([(" : ", ": "), (" ; ", "; "), (" . ", ". "), (" ! ", "! "), (" ? ", "? "), (" , ", ", ")])
    for (open, close) in [("(", ")"), ("[", "]"), ("{", "}"), ("\"", "\""), ("'", "'")]
      as [(Unicode.Scalar, Unicode.Scalar)]
    {
      text.trimInside(open, close)
    }
    text.replace([("= = = =", "===="), ("= = =", "==="), ("= =", "=="), (" ° ", "°"), (" \n", "\n"), ("\n ", "\n")])
    text.replace([(" N ", " 1 "), (" 's", "'s")])
  }

  private static func ptb(_ text: inout ByteText) {
    text.replace([(" 's", "'s"), ("s ' ", "s' "), (" n't", "n't"), (" \n ", "\n"), ("\\/", "/")])
    // Neighbours share a space: a second pass finds those that the first went over.
    for _ in 0..<2 { text.replace([(" N ", " 1 ")]) }
    text.replace([("$ 1", "$1"), ("# 1", "#1"), ("<unk>", "?")])
  }

  private static func lm1b(_ text: inout ByteText) {
    text.replace([("http : / / ", "http://"), ("https : / / ", "https://")])
    text.joinApostrophes()
    text.joinFullStops()
    text.joinAtEnd(".", afterWord: true)
    text.replace([(" ? ", "? ")])
    text.joinAtEnd("?")
    text.replace([(" ! ", "! ")])
    text.joinAtEnd("!")
    text.replace([(" , ", ", "), (" : ", ": "), (" ; ", "; "), (" / ", "/")])
    text.joinInside("\"", "\"")
    text.joinInside("'", "'")
    text.joinInside("(", ")")
    text.joinInside("[", "]")
    text.replace([("$ ", "$"), ("£ ", "£")])
  }

  private static func lambada(_ text: inout ByteText) {
    text.replace([("“", "\""), ("”", "\"")])
    text.trim()
    text = ByteText([UInt8(ascii: "\n")] + text.bytes)
  }
}
