/// How documents become sequences of one length L.
public enum Packing: String, Codable, CaseIterable, Sendable {
  /// All documents, one after another, cut every L tokens.
  case continuous
  /// The same, cut every L − 2 tokens, between `beginningOfText` and `endOfText`.
  case framed
  /// Each document for itself, between `beginningOfText` and `endOfText`, cut off after L − 2 tokens or filled up with
  /// `padding`.
  case padded
  /// Windows of L tokens from random places in parts of 2L, other ones each time a part is met.
  case crop
}
