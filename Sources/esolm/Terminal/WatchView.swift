import EsoLM
import Foundation
import Tokenizers
import Tool

/// Shows one sequence while it is written: masks turn into text. In a terminal the text is drawn in place and what the
/// last step wrote stands out; elsewhere every step is a line.
struct WatchView {
  private let tokenizer: any Tokenizer
  private let maskToken: Int32
  private let isInteractive = Terminal.isInteractive
  private var linesDrawn = 0

  init(tokenizer: any Tokenizer, maskToken: Int) {
    self.tokenizer = tokenizer
    self.maskToken = Int32(maskToken)
  }

  mutating func show(_ generation: Generation, after step: Generation.Step) {
    let tokens = generation.tokens
    let calls = step.index + 1 + (generation.isFinished ? 0 : generation.remainingCalls ?? 0)
    let title = "call \(step.index + 1) of \(calls), \(step.written.positions.count) written"
    guard isInteractive else {
      Terminal.write("[\(title)] \(text(tokens, fresh: []).replacingOccurrences(of: "\n", with: "⏎"))\n")
      return
    }
    let body = text(tokens, fresh: Set(step.written.positions))
    let up = linesDrawn > 0 ? "\u{1B}[\(linesDrawn)A" : ""
    Terminal.write("\(up)\r\u{1B}[J\(title)\n\(body)\u{1B}[0m\n")
    linesDrawn = 2 + rows(of: text(tokens, fresh: []))
    Thread.sleep(forTimeInterval: min(0.05, 6 / Double(calls)))
  }

  /// Runs of written tokens are decoded together, since a character may take several tokens.
  private func text(_ tokens: [Int32], fresh: Set<Int>) -> String {
    var result = ""
    var start = 0
    while start < tokens.count {
      func kind(_ place: Int) -> Int { tokens[place] == maskToken ? 0 : fresh.contains(place) ? 2 : 1 }
      let end = tokens.indices[start...].first { kind($0) != kind(start) } ?? tokens.count
      switch kind(start) {
      case 0: result += String(repeating: "░", count: end - start)
      case 2: result += "\u{1B}[1;32m" + tokenizer.decode(tokens[start..<end]) + "\u{1B}[0m"
      default: result += tokenizer.decode(tokens[start..<end])
      }
      start = end
    }
    return result
  }

  /// How often the terminal breaks lines of a text, in addition to the line it starts on.
  private func rows(of text: String) -> Int {
    let width = Terminal.width
    return text.split(separator: "\n", omittingEmptySubsequences: false)
      .reduce(-1) { $0 + max(1, ($1.count + width - 1) / width) }
  }
}
