import Foundation
import Reports
import Testing

@Suite("Line charts and pages")
struct ReportsTests {
  /// The numbers beside the y axis.
  @Test(arguments: [(0.0, 1.0), (-3.2, 17.9), (1e-5, 2e-5), (100, 100.5), (-2, -1)])
  func ticksAreFewAndRoundAndInRange(low: Double, high: Double) {
    let svg = chart([.init(x: 0, y: low), .init(x: 1, y: high)])
    let ticks = svg.matches(of: #/text-anchor="end">([-+.e0-9]+)</#).compactMap { Double($0.output.1) }
    let room = 0.05 * (high - low)
    #expect((2...7).contains(ticks.count))
    #expect(ticks.allSatisfy { (low - room...high + room).contains($0) })
    let steps = zip(ticks, ticks.dropFirst()).map { $1 - $0 }
    #expect(steps.allSatisfy { abs($0 - steps[0]) < 1e-4 * (high - low) })
  }

  private func chart(_ points: [LineChart.Point], logarithmic: Bool = false) -> String {
    LineChart("A & B", xLabel: "x", yLabel: "y", series: [.init("<one>", points)], logarithmic: logarithmic).svg
  }

  @Test func pointsBecomeDotsAndNamesAreEscaped() throws {
    let svg = chart([.init(x: 0, y: 1, note: "a < b"), .init(x: 1, y: 3)])
    #expect(svg.components(separatedBy: "<circle").count == 3)
    #expect(svg.contains("aria-label=\"A &amp; B\"") && svg.contains("&lt;one&gt;") && svg.contains("<title>a &lt; b"))
    #expect(!svg.contains("<one>"))
    _ = try XMLDocumentCheck(svg)
  }

  @Test func numbersThatAreNoneAreLeftOut() throws {
    for points in [[], [.init(x: .nan, y: 1)], [.init(x: 1, y: .infinity)], [.init(x: 2, y: 5)]] as [[LineChart.Point]]
    {
      let svg = chart(points)
      #expect(!svg.contains("nan") && !svg.contains("inf"))
      _ = try XMLDocumentCheck(svg)
    }
  }

  @Test func aLogarithmicAxisLeavesOutWhatIsNotPositive() {
    let svg = chart([.init(x: 0, y: 1), .init(x: 0.001, y: 2), .init(x: 10, y: 3)], logarithmic: true)
    #expect(svg.components(separatedBy: "<circle").count == 3)
    for tick in [">0.001<", ">0.1<", ">10<"] { #expect(svg.contains(tick)) }
  }

  @Test func aPageIsSelfContainedAndWellFormed() throws {
    var page = HTMLPage("Title <&>")
    page.add(facts: [("name", "value & more")])
    page.add(table: ["a", "b"], rows: [["<x>", "1"], ["y", "2"]], title: "Table", textColumns: [1])
    page.add(figures: [LineChart("figure", xLabel: "x", yLabel: "y", series: [.init("s", [.init(x: 1, y: 2)])])])
    page.add(paragraph: "a\u{0}b")
    page.add(texts: ["it's \"so\"\n"], title: "Texts")
    let html = page.html
    for outside in ["http://", "https://", "<script", "src=", "url("] { #expect(!html.contains(outside)) }
    #expect(html.contains("Title &lt;&amp;&gt;") && html.contains("&lt;x&gt;") && html.contains("a\u{FFFD}b"))
    _ = try XMLDocumentCheck(String(html.drop { $0 != "<" }.drop { $0 != "\n" }))
  }
}

/// Whether tags are closed in the order in which they were opened.
private struct XMLDocumentCheck {
  struct Unbalanced: Error { let tag: String }

  init(_ text: String) throws {
    var open: [Substring] = []
    for match in text.matches(of: #/<(/?)([a-z0-9]+)[^>]*?(/?)>/#) {
      let (_, close, tag, empty) = match.output
      if !empty.isEmpty || tag == "meta" { continue }
      if close.isEmpty {
        open.append(tag)
      } else {
        guard open.popLast() == tag else { throw Unbalanced(tag: String(tag)) }
      }
    }
    guard open.isEmpty else { throw Unbalanced(tag: String(open[0])) }
  }
}
