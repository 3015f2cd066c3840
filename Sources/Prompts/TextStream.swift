import EsoLM
import Tokenizers

/// The text of one sequence as it becomes final, in reading order.
///
/// What could still change is held back: a character of which not all bytes are there, and what may be the beginning of a
/// stop string.
public struct TextStream {
  private let tokenizer: any Tokenizer
  private let stop: StopStrings?
  private var sent = 0

  public init(_ tokenizer: any Tokenizer, stop: StopStrings? = nil) {
    self.tokenizer = tokenizer
    self.stop = stop
  }

  /// What has become final since the last call.
  ///
  /// - Parameters:
  ///   - tokens: all final tokens so far.
  ///   - isFinished: whether no more will come.
  public mutating func next(_ tokens: some Sequence<Int32>, isFinished: Bool) -> String {
    var text = tokenizer.decode(tokens)
    if let stop { text = stop.cut(text) }
    if !isFinished {
      text.removeLast(stop?.openCount(in: text) ?? 0)
      while text.hasSuffix("\u{FFFD}") { text.removeLast() }
    }
    // Bytes, not characters: what follows may join the last one, but not change what it is made of.
    let bytes = Array(text.utf8)
    guard bytes.count > sent else { return "" }
    defer { sent = bytes.count }
    return String(decoding: bytes[sent...], as: UTF8.self)
  }
}
