import Foundation
import Reports
import Testing

@Suite("Line charts and pages")
struct ReportsTests {
  private func page(_ charts: [LineChart], methods: [String] = []) -> String {
    var page = HTMLPage("page", methods: methods)
    page.add(figures: charts)
    return page.html
  }

  private func chart(
    _ points: [LineChart.Point], x: ChartAxis = .number("x"), y: ChartAxis = .number("y"), method: String? = "m"
  ) -> LineChart {
    LineChart("A & B", x: x, y: y, series: [.init("<one>", method: method, points)])
  }

  /// The labels beside the y axis.
  private func yLabels(_ html: String) -> [String] {
    html.matches(of: #/text-anchor="end">([^<]*)</#).map { String($0.output.1) }
  }

  /// The labels below the x axis.
  private func xLabels(_ html: String) -> [String] {
    html.matches(of: #/<text x="[0-9.]+" y="272\.0" text-anchor="middle">([^<]*)</#).map { String($0.output.1) }
  }

  // MARK: Axes

  @Test(arguments: [(0.0, 1.0), (-3.2, 17.9), (1e-5, 2e-5), (100, 100.5), (-2, -1), (-1, 1)])
  func ticksAreFewAndRoundAndInRange(low: Double, high: Double) {
    let labels = yLabels(page([chart([.init(x: 0, y: low), .init(x: 1, y: high)])]))
    let ticks = labels.compactMap { Double($0) }
    let room = 0.05 * (high - low)
    #expect(ticks.count == labels.count && (2...7).contains(ticks.count))
    #expect(ticks.allSatisfy { (low - room...high + room).contains($0) })
    let steps = zip(ticks, ticks.dropFirst()).map { $1 - $0 }
    #expect(steps.allSatisfy { abs($0 - steps[0]) < 1e-4 * (high - low) })
    #expect(!labels.contains("-0"))
  }

  /// Whatever the values are.
  @Test(arguments: [[0.42, 0.43], [0], [1], [], [0.5, 7, -1]])
  func sharesAreDrawnFrom0To100Percent(values: [Double]) {
    let points = values.enumerated().map { LineChart.Point(x: Double($0), y: $1, error: 0.1) }
    let html = page([chart(points, y: .share("right"))])
    #expect(yLabels(html) == ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"])
    #expect(html.components(separatedBy: "<circle").count - 1 == values.count { (0...1).contains($0) })
  }

  @Test func anAxisMayHaveARangeOfItsOwn() {
    let html = page([chart([.init(x: 0.4, y: 1), .init(x: 0.5, y: 2)], x: .number("α₀", in: 0...1))])
    #expect(xLabels(html) == ["0", "0.2", "0.4", "0.6", "0.8", "1"])
  }

  @Test func aLogarithmicAxisLeavesOutWhatIsNotPositive() {
    let points = [0, 0.001, 10].enumerated().map { LineChart.Point(x: $1, y: Double($0)) }
    let html = page([chart(points, x: .logarithmic("s"))])
    #expect(html.components(separatedBy: "<circle").count == 3)
    #expect(xLabels(html) == ["0.001", "0.01", "0.1", "1", "10"])
  }

  @Test(arguments: [(1e-9, 1e9), (0.03, 0.04), (1, 1), (0.5, 3), (1e-300, 1e300)])
  func aLogarithmicAxisHasFewLabels(low: Double, high: Double) {
    let labels = xLabels(page([chart([.init(x: low, y: 1), .init(x: high, y: 2)], x: .logarithmic("s"))]))
    #expect((2...8).contains(labels.count), "\(labels)")
    #expect(Set(labels).count == labels.count)
  }

  // MARK: Points

  @Test func pointsTellTheirValuesAndNamesAreEscaped() throws {
    let html = page([chart([.init(x: 0, y: 1, error: 0.25, note: "a < b"), .init(x: 1, y: 3)])])
    #expect(html.components(separatedBy: "<circle").count == 3)
    #expect(html.contains("aria-label=\"A &amp; B\"") && html.contains("&lt;one&gt;"))
    #expect(html.contains("<title>&lt;one&gt;: 1 ± 0.25\nx: 0\na &lt; b</title>"))
    #expect(html.contains("<title>&lt;one&gt;: 3\nx: 1</title>"))
    #expect(!html.contains("<one>"))
    _ = try XMLDocumentCheck(html)
  }

  @Test func errorsAreBarsAndTheAxisReachesThem() throws {
    let html = page([chart([.init(x: 0, y: 10, error: 5), .init(x: 1, y: 10), .init(x: 2, y: 10, error: .nan)])])
    #expect(html.components(separatedBy: "class=\"error\"").count == 2)
    let ticks = yLabels(html).compactMap { Double($0) }
    #expect(ticks.min()! <= 6 && ticks.max()! >= 14)
  }

  @Test func numbersThatAreNoneAreLeftOut() throws {
    for points in [
      [], [.init(x: .nan, y: 1)], [.init(x: 1, y: .infinity)], [.init(x: 2, y: 5)],
      [.init(x: 2, y: 5, error: .infinity)],
      [.init(x: 0, y: 1.7e308), .init(x: 1, y: -1.7e308)],
      [.init(x: 0, y: 1e300), .init(x: 1, y: -1e300, error: 1e300)],
      [.init(x: 0, y: 1), .init(x: 1, y: 1.0.nextUp)], [.init(x: 0, y: 0), .init(x: 1, y: .leastNonzeroMagnitude)],
    ] as [[LineChart.Point]] {
      let html = page([chart(points)])
      let numbers = html.matches(of: #/ (?:points|d|cx|cy|x|y)="([^"]*)"/#).map(\.output.1)
      #expect(!numbers.contains { $0.contains("nan") || $0.contains("inf") })
      _ = try XMLDocumentCheck(html)
    }
  }

  @Test func longLinesTellSomeOfTheirValues() {
    let html = page([chart((0..<5000).map { .init(x: Double($0), y: sin(Double($0))) })])
    #expect(!html.contains("class=\"dot\""))
    #expect((300...400).contains(html.components(separatedBy: "<circle").count - 1))
  }

  // MARK: Colours

  /// The colours of lines, by the names that the legend has beside them.
  private func colours(_ html: String) -> [[String: String]] {
    html.components(separatedBy: "<figure>").dropFirst().map { figure in
      let entries = figure.matches(of: #/h22" stroke="([^"]+)"[^>]*/>(?:<path[^>]*/>)?<text[^>]*>([^<]*)</#)
      return Dictionary(entries.map { (String($0.output.2), String($0.output.1)) }, uniquingKeysWith: { $1 })
    }
  }

  @Test func aMethodHasOneColourOnAllCharts() {
    func chart(_ methods: [String?]) -> LineChart {
      LineChart(
        "c", x: .number("x"), y: .number("y"),
        series: methods.enumerated().map { .init("\($1 ?? "none") \($0)", method: $1, [.init(x: 1, y: 2)]) })
    }
    let all = colours(page([chart(["A", "B", "A"]), chart(["C", nil, "B"])]))
    #expect(all[0] == ["A 0": "var(--s0)", "B 1": "var(--s1)", "A 2": "var(--s0)"])
    #expect(all[1] == ["C 0": "var(--s2)", "none 1": "var(--faint)", "B 2": "var(--s1)"])
    // And on all pages that say which methods there are.
    let other = colours(page([chart(["B"])], methods: ["A", "B", "C"]))
    #expect(other[0] == ["B 0": "var(--s1)"])
  }

  @Test func seriesOfAMethodDifferInTheirDots() {
    let chart = LineChart(
      "c", x: .number("x"), y: .number("y"),
      series: (0..<3).map { .init("\($0)", method: "A", [.init(x: 1, y: 2)]) })
    let shapes = page([chart]).matches(of: #/class="dot"[^>]* d="M[0-9.,]+(m[^"]*)"/#).map { String($0.output.1) }
    #expect(Set(shapes).count == 3)
  }

  // MARK: Pages

  @Test func aPageIsSelfContainedAndWellFormed() throws {
    var page = HTMLPage("Title <&>")
    page.add(facts: [("name", "value & more")])
    page.add(table: ["a", "b"], rows: [["<x>", "1"], ["y", "2"]], title: "Table", textColumns: [1])
    page.add(figures: [chart([.init(x: 1, y: 2)])])
    page.add(paragraph: "a\u{0}b")
    page.add(texts: ["it's \"so\"\n"], title: "Texts")
    let html = page.html
    for outside in ["http://", "https://", "<script", "src=", "url("] { #expect(!html.contains(outside)) }
    #expect(html.contains("Title &lt;&amp;&gt;") && html.contains("&lt;x&gt;") && html.contains("a\u{FFFD}b"))
    #expect(html.contains("@media (prefers-color-scheme: dark)"))
    _ = try XMLDocumentCheck(String(html.drop { $0 != "<" }.drop { $0 != "\n" }))
  }

  /// Text is never smaller than 12 px: figures are not drawn smaller than they are, and no size below it is asked for.
  @Test func textIsLargeEnoughToRead() {
    let html = page([chart([.init(x: 1, y: 2)])])
    let width = html.firstMatch(of: #/viewBox="0 0 (\d+) /#)!.output.1
    #expect(html.contains("min-width: \(width)px"))
    let sizes = html.matches(of: #/font(?:-size)?:[^;}]*?([0-9.]+)px/#).compactMap { Double($0.output.1) }
    #expect(!sizes.isEmpty && sizes.allSatisfy { $0 >= 12 })
  }

  private struct Numbers: Codable, Equatable {
    var name: String
    var values: [Double]
  }

  @Test func aPageHoldsItsDataAsJSONThatNothingEnds() throws {
    let numbers = Numbers(name: "</script><script>alert('&amp;')</script><!-- \u{2028}\"\\", values: [1, 0.1, 1e-300])
    var page = HTMLPage("page")
    page.add(data: numbers)
    let html = page.html
    let match = try #require(html.firstMatch(of: #/<script type="application/json" id="data">([\s\S]*?)</script>/#))
    #expect(try JSONDecoder().decode(Numbers.self, from: Data(match.output.1.utf8)) == numbers)
    #expect(html.components(separatedBy: "<script").count == 2 && html.components(separatedBy: "</script").count == 2)
    var other = HTMLPage("page")
    other.add(data: [Double.infinity, -.infinity, .nan])
    #expect(other.html.contains(#">["inf","-inf","nan"]<"#))
  }

  @Test func aPageTellsHowItWasMade() {
    var page = HTMLPage("page")
    page.add(
      recipe: Recipe(command: "esolm compare --out 'a <b>'", data: "d", seed: 7, program: "p", machine: "m"))
    #expect(page.html.contains("<pre>esolm compare --out &#39;a &lt;b&gt;&#39;</pre>"))
    #expect(page.html.contains("<dt>seed</dt><dd>7</dd>"))
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
