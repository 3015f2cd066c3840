import EsoLM

extension StopStrings {
  /// The text of each hole; empty where the text ends before it.
  ///
  /// - Parameters:
  ///   - holes: their positions, in order, as ``PromptTemplate/layout(_:length:lengths:)`` tells them.
  ///   - generation: the text, finished.
  public func fillings(of holes: [Range<Int>], _ generation: Generation) -> [String] {
    let tokens = generation.tokens[...]
    return holes.map { hole in
      let own = tokens.dropFirst(hole.lowerBound).prefix(hole.count)
      return text(of: own, given: hole.lowerBound < generation.givenEnd ? own.count : 0)
    }
  }
}
