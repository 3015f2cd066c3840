/// How EleutherAI's lm-evaluation-harness writes HellaSwag's questions, with which its published figures were made.
///
/// The part of the set that comes from WikiHow has titles and step numbers in brackets; the other part are captions of
/// videos, whose context breaks off in the middle of a sentence.
enum HellaSwag {
  /// The activity, the sentence before and the beginning of the next. Spaces at its end go before the ending, where
  /// tokenizers that know words expect them.
  static func query(activity: String, first: String, second: String) -> (context: String, separator: String) {
    let query = Array(preprocessed("\(activity): \(first) \(capitalized(second))").unicodeScalars)
    let count = query.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? 0
    return (string(query[..<count]), string(query[count...]) + " ")
  }

  /// A text without what is in brackets and spaces around it; a title becomes a full stop.
  static func preprocessed(_ text: String) -> String {
    var scalars = Array(text.unicodeScalars.drop(while: isSpace))
    scalars.removeLast(scalars.reversed().prefix(while: isSpace).count)
    let titled = scalars.replacing(Array(" [title]".unicodeScalars), with: Array(". ".unicodeScalars))
    return string(
      withoutBrackets(titled[...]).replacing(Array("  ".unicodeScalars), with: Array(" ".unicodeScalars))[...])
  }

  /// Without the shortest stretches of a line from an opening bracket to a closing one.
  private static func withoutBrackets(_ text: ArraySlice<Unicode.Scalar>) -> [Unicode.Scalar] {
    var (result, rest) = ([Unicode.Scalar](), text)
    while let scalar = rest.first {
      if scalar == "[", let end = rest.firstIndex(where: { $0 == "]" || $0 == "\n" }), rest[end] == "]" {
        rest = rest[(end + 1)...]
      } else {
        result.append(rest.removeFirst())
      }
    }
    return result
  }

  private static func capitalized(_ text: String) -> String {
    guard let first = text.unicodeScalars.first else { return "" }
    return first.properties.titlecaseMapping + String(text.unicodeScalars.dropFirst()).lowercased()
  }

  /// As the harness's language has it: also the separators of information of ASCII.
  private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
  }

  private static func string(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
    String(String.UnicodeScalarView(scalars))
  }
}
