import CommandSupport
import Foundation
import Testing

/// The examples of the article on serving, as they stand there.
@Suite("Examples of serving")
struct ServingExampleTests {
  private static let article: String = {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return (try? String(contentsOfFile: "\(root.path)/Documentation.docc/Serving.md", encoding: .utf8)) ?? ""
  }()
  private static let address = "http://127.0.0.1:8080"

  @Test func requestsAreAnswered() async throws {
    let requests = Self.article.matches(of: #/(?m)^curl http:\/\/127\.0\.0\.1:8080(\S+) -d '(.*)'$/#)
    #expect(requests.count >= 6)
    let (server, port) = try await ServeCommandTests.serve(Clients.run(length: 64), ["--name", "RUN"])
    for request in requests {
      let (path, body) = (String(request.output.1), String(request.output.2))
      let reply = try await RawConnection.ask(port, ServeCommandTests.post(port, path, body))
      #expect(reply.hasPrefix("HTTP/1.1 200 ") && !reply.contains("\"error\""), "\(path) \(body): \(reply)")
    }
    server.send(SIGTERM)
    #expect(try await server.end().status == 0)
  }

  @Test(.enabled(if: Clients.python != nil, "no Python clients: see scripts/clients.sh"))
  func pythonRuns() async throws {
    let block = try #require(Self.article.firstMatch(of: #/(?s)```python\n(.*?)```/#))
    let (server, port) = try await ServeCommandTests.serve(Clients.run(length: 64), ["--name", "RUN"])
    let program = String(block.output.1).replacing(Self.address, with: "http://127.0.0.1:\(port)")
    let result = try await Command.run(Clients.python!, ["-c", program])
    #expect(result.status == 0 && result.error == "", "\(result.error)")
    #expect(result.output.contains("\n"))
    server.send(SIGTERM)
    #expect(try await server.end().status == 0)
  }
}
