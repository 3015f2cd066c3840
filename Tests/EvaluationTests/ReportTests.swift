import Evaluation
import Foundation
import Reports
import TestSupport
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite("Reports")
struct ReportTests {
  private func report() -> EvaluationReport {
    var report = EvaluationReport(title: "Evaluation of <a&b>")
    report.facts = [.init("run", "runs/<script>alert('x')</script>")]
    report.measures = [
      Measure("Perplexity", "NELBO", 26.2871, error: 0.251, note: "43 sequences | text"),
      Measure("Perplexity", "exact, K = 4", 3.14159),
      Measure("Samples", "MAUVE", nil, note: "no *judge*"),
      Measure("Multiple choice", "accuracy", 0.5, error: 0.05, style: .percent),
      Measure("Samples", "Gen. PPL", .infinity),
    ]
    report.figures = [
      .init(
        "Bound", x: "log₂ K", y: "ppl",
        [
          .init("exact", [.init(x: 0, y: 4, error: 0.5), .init(x: 1, y: 3), .init(x: 2, y: 2.5)]),
          .init("NELBO", [.init(x: 0, y: 5), .init(x: 2, y: 5)]),
        ]),
      .init("Curve", x: "p", y: "q", isUnitSquare: true, [.init("exact", [.init(x: 0.4, y: 0.5)])]),
    ]
    report.samples = ["<b>\u{1B}[31mred</b>\n\"end\""]
    report.recipe = Recipe(
      command: "esolm eval report '</script>'", data: "d", seed: 3, program: "esolm 1", machine: "m")
    return report
  }

  @Test func markdownIsOneTableOfAllMeasures() {
    #expect(
      report().markdown == """
        # Evaluation of \\<a&b\\>

        run: runs/\\<script\\>alert('x')\\</script\\>

        |  | measure | value | ± error | how |
        |---|---|--:|--:|---|
        | Perplexity | NELBO | 26.29 | ± 0.2510 | 43 sequences \\| text |
        | Perplexity | exact, K = 4 | 3.1416 | – |  |
        | Samples | MAUVE | – | – | no \\*judge\\* |
        | Multiple choice | accuracy | 50.0 % | ± 5.0 % |  |
        | Samples | Gen. PPL | ∞ | – |  |

        Made by: esolm eval report '\\</script\\>' (esolm 1; seed 3)

        """)
  }

  /// Well-formed as XML is more than HTML asks for, and what a parser can check.
  @Test func thePageIsWellFormedAndNeedsNothingElse() throws {
    let html = report().html
    let body = try #require(html.firstRange(of: "<body>").map { html[$0.lowerBound...] })
    let delegate = Tags()
    let parser = XMLParser(data: Data(body.replacingOccurrences(of: "</html>", with: "").utf8))
    parser.delegate = delegate
    #expect(parser.parse(), "\(String(describing: parser.parserError)) in line \(parser.lineNumber)")
    #expect(delegate.counts["table"] == 3)  // one for each group
    #expect(delegate.counts["tr"] == 3 + 5)
    #expect(delegate.counts["polyline"] == 3)
    #expect(delegate.counts["circle"] == 3 + 2 + 1)
    #expect(html.components(separatedBy: "class=\"error\"").count == 2)
    #expect(delegate.counts["pre"] == 2)
    // The numbers, which nothing runs.
    #expect(delegate.counts["script"] == 1)
    let json = try #require(html.firstMatch(of: #/<script type="application\/json" id="data">(.*?)<\/script>/#)).output
      .1
    #expect(json.contains(#""seed":3"#) && json.contains(#""error":0.5"#) && json.contains("\\u003c/script\\u003e"))
    for outside in ["http:", "https:", "src=", "href=", "url(", "@import"] { #expect(!html.contains(outside)) }
    #expect(!html.contains("\u{1B}"))
    #expect(delegate.text.contains("<b>\u{FFFD}[31mred</b>\n\"end\""))
  }

  private final class Tags: NSObject, XMLParserDelegate {
    var counts: [String: Int] = [:]
    var text = ""

    func parser(
      _: XMLParser, didStartElement name: String, namespaceURI _: String?, qualifiedName _: String?,
      attributes _: [String: String]
    ) { counts[name, default: 0] += 1 }

    func parser(_: XMLParser, foundCharacters string: String) { text += string }
  }

  /// Nothing to draw, one point, points that are no numbers: still a page.
  @Test func figuresOfAnySizeAreDrawn() {
    for points in [[], [(1, 1)], [(0, .nan), (1, .infinity)], [(0, 5), (1, 5)], [(0, 1e300), (1, -1e300)]]
      as [[(x: Double, y: Double)]]
    {
      var report = report()
      report.figures = [.init("f", x: "x", y: "y", [.init("s", points.map { .init(x: $0.x, y: $0.y) })])]
      let html = report.html.components(separatedBy: "<script")[0]
      #expect(html.contains("</svg>"))
      #expect(!html.contains("nan") && !html.contains("inf,") && !html.contains(",inf"))
    }
  }

  @Test func aReportSurvivesJSON() throws {
    var report = report()
    report.measures.removeLast()
    let copy = try JSONDecoder().decode(EvaluationReport.self, from: JSONEncoder().encode(report))
    #expect(copy == report)
  }
}
