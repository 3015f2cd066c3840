import Metrics
import Synchronization

/// Metrics kept in memory and written as Prometheus reads them (text format 0.0.4).
package final class PrometheusMetrics: MetricsFactory {
  private struct Key: Hashable {
    let label: String
    let dimensions: String
  }

  private enum Kind: String {
    case counter, gauge, summary
  }

  private final class Series: CounterHandler, RecorderHandler, TimerHandler {
    struct State {
      var value = 0.0
      var sum = 0.0
      var count = 0
    }

    let kind: Kind
    let state = Mutex(State())

    init(_ kind: Kind) { self.kind = kind }

    func increment(by amount: Int64) { state.withLock { $0.value += Double(amount) } }
    func reset() { state.withLock { $0 = State() } }
    func record(_ value: Int64) { record(Double(value)) }
    func record(_ value: Double) {
      state.withLock {
        $0.value = value
        $0.sum += value
        $0.count += 1
      }
    }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
  }

  private let series = Mutex<[Key: Series]>([:])

  /// Without any metric yet.
  package init() {}

  private func series(_ label: String, _ dimensions: [(String, String)], _ kind: Kind) -> Series {
    let labels = dimensions.map { "\(Self.name($0))=\"\(Self.escaped($1))\"" }.joined(separator: ",")
    return series.withLock { all in
      let key = Key(label: Self.name(label), dimensions: labels)
      if let known = all[key] { return known }
      let made = Series(kind)
      all[key] = made
      return made
    }
  }

  package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    series(label, dimensions, .counter)
  }

  package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
    series(label, dimensions, aggregate ? .summary : .gauge)
  }

  package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    series(label, dimensions, .summary)
  }

  // Whatever was counted stays, though nobody counts on.
  package func destroyCounter(_ handler: any CounterHandler) {}
  package func destroyRecorder(_ handler: any RecorderHandler) {}
  package func destroyTimer(_ handler: any TimerHandler) {}

  /// All metrics, sorted by name.
  package func text() -> String {
    let all = series.withLock { $0 }.sorted { ($0.key.label, $0.key.dimensions) < ($1.key.label, $1.key.dimensions) }
    var lines: [String] = []
    var last = ""
    for (key, series) in all {
      if key.label != last { lines.append("# TYPE \(key.label) \(series.kind.rawValue)") }
      last = key.label
      let (state, labels) = (series.state.withLock { $0 }, key.dimensions.isEmpty ? "" : "{\(key.dimensions)}")
      if series.kind == .summary {
        lines.append("\(key.label)_sum\(labels) \(state.sum)")
        lines.append("\(key.label)_count\(labels) \(state.count)")
      } else {
        lines.append("\(key.label)\(labels) \(state.value)")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func name(_ text: String) -> String {
    String(
      text.unicodeScalars.map {
        $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0)) ? Character($0) : "_"
      })
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
  }
}
