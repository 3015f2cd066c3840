import EsoLM

extension StopStrings {
  /// The text of each run of positions that were not given; empty where the text ends before it.
  ///
  /// - Parameters:
  ///   - template: what was asked for, nil where a token was to be written.
  ///   - generation: the text, finished.
  public func fillings(of template: [Int32?], _ generation: Generation) -> [String] {
    let tokens = generation.tokens[...]
    return Self.holes(of: template).map { hole in
      let own = tokens.dropFirst(hole.lowerBound).prefix(hole.count)
      return text(of: own, given: hole.lowerBound < generation.givenEnd ? own.count : 0)
    }
  }

  /// The runs of positions that are not given.
  public static func holes(of template: [Int32?]) -> [Range<Int>] {
    let starts = template.indices.filter { template[$0] == nil && ($0 == 0 || template[$0 - 1] != nil) }
    return starts.map { start in start..<(template[start...].firstIndex { $0 != nil } ?? template.count) }
  }
}
