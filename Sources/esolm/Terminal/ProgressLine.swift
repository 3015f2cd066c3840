import Foundation
import Tool

/// One line that is drawn over and over while something long goes on. Where there is no terminal, a line now and then.
struct ProgressLine {
  private let interval: Duration
  private var last: ContinuousClock.Instant?
  private let isInteractive = Terminal.isInteractive

  /// - Parameter isForLongWork: whether nothing is shown of work that is done before a second line would be due.
  init(isForLongWork: Bool = false) {
    interval = isInteractive ? .milliseconds(100) : .seconds(10)
    if isForLongWork { last = .now }
  }

  /// Shows a text, unless the last one is too fresh.
  mutating func show(_ text: @autoclosure () -> String, always: Bool = false) {
    let now = ContinuousClock.now
    if let last, !always, now - last < interval { return }
    last = now
    Terminal.write(isInteractive ? "\r\u{1B}[K" + text().prefix(Terminal.width - 1) : text() + "\n")
  }

  /// Leaves a text standing and goes on below it.
  mutating func keep(_ text: String) {
    Terminal.write((isInteractive ? "\r\u{1B}[K" : "") + text + "\n")
    last = nil
  }

  /// Takes the line away.
  func clear() { if isInteractive { Terminal.write("\r\u{1B}[K") } }
}

/// Numbers as people read them.
enum Format {
  /// 1:02:03 or 2:03.
  static func time(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "–" }
    let whole = Int(seconds.rounded())
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60)
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return hours > 0 ? "\(hours):\(two(minutes)):\(two(rest))" : "\(minutes):\(two(rest))"
  }

  static func number(_ value: Double, digits: Int = 2) -> String { String(format: "%.\(digits)f", value) }

  /// Three significant digits, for durations that range widely.
  static func seconds(_ value: Double) -> String {
    value >= 100 ? number(value, digits: 0) : value >= 10 ? number(value, digits: 1) : number(value, digits: 3)
  }

  static func percent(_ share: Double?) -> String { share.map { number(100 * $0, digits: 1) + " %" } ?? "–" }

  static func threads(_ count: Int) -> String { count == 1 ? "1 thread" : "\(count) threads" }

  /// 12.3k and the like.
  static func count(_ value: Double) -> String {
    switch value {
    case 1e9...: number(value / 1e9, digits: 1) + "G"
    case 1e6...: number(value / 1e6, digits: 1) + "M"
    case 1e4...: number(value / 1e3, digits: 1) + "k"
    default: number(value, digits: 0)
    }
  }
}
