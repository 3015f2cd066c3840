import Files
import Foundation
import Metrics
import Serving
import Testing

@Suite("Metrics and the page's files")
struct MetricsTests {
  @Test func whatHappenedIsCounted() async throws {
    try await TestServer().test { client in
      let reply = try await client.answer(
        "/v1/completions", #"{"prompt": "abc", "max_tokens": 5, "n": 2, "ignore_eos": true}"#)
      _ = try await client.post("/v1/completions", "{")
      let metrics = try await client.get("/metrics")
      #expect(metrics.headers[.contentType] == "text/plain; version=0.0.4")
      let lines = Set(metrics.text.split(separator: "\n"))
      #expect(lines.contains("esolm_generated_tokens_total 10.0") && reply.texts.count == 2)
      #expect(lines.contains("esolm_prompt_tokens_total 3.0"))
      #expect(lines.contains("# TYPE esolm_network_call_seconds summary"))
      #expect(lines.contains(#"esolm_responses_total{path="/v1/completions",status="400"} 1.0"#))
      #expect(lines.contains("esolm_texts_live 0.0"))
      // Each line is a comment or a name, labels and a number.
      for line in lines {
        #expect(line.wholeMatch(of: #/# TYPE \w+ (counter|gauge|summary)|\w+(\{.*\})? -?[0-9.e+-]+/#) != nil, "\(line)")
      }
    }
  }

  @Test func labelsAreEscaped() {
    let metrics = PrometheusMetrics()
    Counter(label: "a.b", dimensions: [("x-y", "1\"\\\n2")], factory: metrics).increment(by: 3)
    Gauge(label: "g", factory: metrics).record(1.5)
    Timer(label: "t", factory: metrics).recordSeconds(2)
    #expect(
      metrics.text() == """
        # TYPE a_b counter
        a_b{x_y="1\\"\\\\\\n2"} 3.0
        # TYPE g gauge
        g 1.5
        # TYPE t summary
        t_sum 2.0
        t_count 1

        """)
  }

  /// The page may load nothing from elsewhere, and run no code that stands in it.
  @Test func thePageIsAllFromHere() async throws {
    try await TestServer().test { client in
      let page = try await client.get("/")
      #expect(page.headers[.contentType] == "text/html; charset=utf-8")
      #expect(try #require(page.headers[.contentSecurityPolicy]).hasPrefix("default-src 'none'; script-src 'self'"))
      let files = page.text.matches(of: #/(?:src|href)="([^"]*)"/#).map { String($0.output.1) }
      #expect(Set(files) == ["data:,", "/page.css", "/page.js"])
      for file in ["/page.css", "/page.js"] { #expect(try await client.get(file).status == 200) }
      for text in [page.text, try await client.get("/page.css").text, try await client.get("/page.js").text] {
        #expect(!text.contains("http://") && !text.contains("https://") && !text.contains("@import"))
      }
    }
  }
}
