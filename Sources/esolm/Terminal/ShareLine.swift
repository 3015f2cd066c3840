import EsoLM
import Tool
import Training

/// The progress of long work: what is done, how much of it, and how long the rest will take.
struct ShareLine {
  /// Where there is no terminal, nothing is said of what is soon done.
  private var line = ProgressLine(isForLongWork: !Terminal.isInteractive)
  private var work: String?
  private var start = ContinuousClock.now
  /// How much was done when the work was first seen.
  private var first = 0.0

  /// - Parameters:
  ///   - work: its name. Another one is other work, whose time is taken anew.
  ///   - share: how much of it is done, from 0 to 1; nil where that cannot be known.
  ///   - detail: what else is told.
  mutating func show(_ work: String, _ share: Double?, _ detail: @autoclosure () -> String = "") {
    let isNew = work != self.work
    if isNew { (self.work, start, first) = (work, .now, share ?? 0) }
    let (seconds, first) = (self.seconds, first)
    line.show(Self.text(work, share, seconds: seconds, since: first, detail()), always: isNew && Terminal.isInteractive)
  }

  /// How long the work has gone on.
  var seconds: Double { (ContinuousClock.now - start).seconds }

  /// Leaves a text standing and goes on below it.
  mutating func keep(_ text: String) { line.keep(text) }

  /// Takes the line away. The same work may go on afterwards.
  func clear() { line.clear() }

  private static func text(
    _ work: String, _ share: Double?, seconds: Double, since first: Double, _ detail: String
  ) -> String {
    var parts = [work]
    if let share {
      let left = share > first ? seconds * (1 - share) / (share - first) : .infinity
      parts = ["\(work) \(Format.percent(share))", "ETA \(Format.time(max(0, left)))"]
    }
    return (parts + [detail].filter { !$0.isEmpty }).joined(separator: "  ")
  }
}

/// How much of some texts is written: the share of their tokens.
struct WritingShare {
  let count: Int
  private(set) var finished = 0
  private var open: [Generation.ID: Double] = [:]

  init(of count: Int) { self.count = count }

  /// - Parameter holes: how many tokens are to be written of the text.
  mutating func add(_ step: Generation.Step, holes: Int) {
    if step.finished != nil {
      // It may have ended early.
      finished += 1
      open[step.id] = nil
    } else {
      open[step.id, default: 0] += Double(step.written.positions.count) / Double(max(1, holes))
    }
  }

  /// What is written of a text and taken back counts once.
  var share: Double { (Double(finished) + open.values.reduce(0) { $0 + min(1, $1) }) / Double(count) }
}
