/// What may see what: the one thing, besides orders, in which the methods of this family differ.
///
/// `allows` is the definition; the network computes each pattern by a faster route that never builds the mask, and the
/// tests hold the two against each other.
public enum AttentionPattern: String, Sendable, CaseIterable {
  /// Every slot sees itself and the slots before it. With clean slots sorted before masked ones this is the diffusion
  /// pass of Eso-LM (B); in text order it is an autoregressive model.
  case causal

  /// The sequential pass of Eso-LM (B), 2·length rows: row s < length is the clean token of slot s and sees the clean
  /// rows 0 ... s; row length + s is the mask of slot s and sees the clean rows 0 ..< s and itself, so it predicts slot
  /// s from everything written before it. Only the masks whose loss counts need to be computed.
  case twoStream

  /// How many rows a slot has.
  public var streams: Int { self == .twoStream ? 2 : 1 }

  /// Whether row `query` may look at row `key`, for sequences of `length` slots.
  public func allows(query: Int, key: Int, length: Int) -> Bool {
    switch self {
    case .causal: return key <= query
    case .twoStream:
      if query < length { return key <= query }
      return key < length ? key < query - length : key == query
    }
  }
}
