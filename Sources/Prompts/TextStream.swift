import EsoLM
import Tokenizers

/// The text of one sequence as it becomes final, in reading order.
///
/// What could still change is held back: a character of which not all bytes are there, and what may be the beginning of a
/// stop string.
public struct TextStream: Sendable {
  private let tokenizer: any Tokenizer
  private let stop: StopStrings?
  private let given: Int
  private var sent = 0

  /// - Parameters:
  ///   - tokenizer: what makes text of tokens.
  ///   - stop: what ends the text; nil for nothing.
  ///   - given: how many tokens, the first ones, hold no stop.
  public init(_ tokenizer: any Tokenizer, stop: StopStrings? = nil, given: Int = 0) {
    self.tokenizer = tokenizer
    self.stop = stop
    self.given = given
  }

  /// What has become final since the last call.
  ///
  /// - Parameters:
  ///   - tokens: all final tokens so far.
  ///   - isFinished: whether no more will come.
  public mutating func next(_ tokens: some Collection<Int32>, isFinished: Bool) -> String {
    var bytes = Array((stop?.text(of: tokens, given: given) ?? tokenizer.decode(tokens)).utf8)
    if !isFinished {
      // First what may be replaced: a stop string may have begun before it.
      while bytes.suffix(3) == Array("\u{FFFD}".utf8)[...] { bytes.removeLast(3) }
      // A stop begins behind what is given.
      let held = given > 0 ? tokenizer.decode(tokens.prefix(given)).utf8.count : 0
      bytes.removeLast(stop?.openCount(in: Array(bytes.dropFirst(held))) ?? 0)
    }
    guard bytes.count > sent else { return "" }
    defer { sent = bytes.count }
    return String(decoding: bytes[sent...], as: UTF8.self)
  }

  /// Whether the whole text of some tokens, the first ones, has become final.
  public func hasSaid(_ tokens: some Collection<Int32>) -> Bool { tokenizer.decode(tokens).utf8.count <= sent }
}
