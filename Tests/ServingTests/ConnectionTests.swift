import CommandSupport
import Files
import Foundation
import Testing

import Serving

/// What happens on the wire.
@Suite("Connections")
struct ConnectionTests {
  private static func head(_ length: Int, _ more: String = "") -> String {
    "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(length)\r\n\(more)\r\n"
  }

  private static func request(_ body: String, _ more: String = "") -> String { head(body.utf8.count, more) + body }

  /// Until the engine has nothing to do.
  private static func settle(_ server: TestServer) async throws {
    try await server.wait { $0.texts == 0 }
    #expect(await server.engine.state == (0, 0, 0))
  }

  /// Streamed or not, a client that goes away makes room. The text is so long that it would not be finished otherwise.
  @Test(arguments: [true, false]) func whoHangsUpFreesItsPlace(isStreamed: Bool) async throws {
    let server = try TestServer(length: 20_000) { $0.limits.prefixMemory = 0 }
    try await server.live { port in
      let connection = try RawConnection(port)
      connection.send(
        Self.request(
          #"{"prompt": "ab", "max_tokens": 19990, "alpha0": 0, "ignore_eos": true, "stream": \#(isStreamed)}"#))
      if isStreamed { _ = try await RawConnection.onThread { connection.receive(upTo: "data: ") } }
      try await server.wait { $0.texts == 1 }
      connection.hangUp()
      try await Self.settle(server)
      #expect(server.server.handlers.gate.count == 0)
    }
  }

  @Test func requestsInOneWriteAreAnsweredInTurn() async throws {
    try await TestServer().live { port in
      let requests = (0..<5).map {
        Self.request(#"{"prompt": "ab", "max_tokens": 2, "seed": \#($0)}"#, $0 == 4 ? "Connection: close\r\n" : "")
      }
      let reply = try await RawConnection.ask(port, requests.joined())
      let seeds = reply.matches(of: #/"seed":(\d)/#).map { String($0.output.1) }
      #expect(seeds == ["0", "1", "2", "3", "4"])
    }
  }

  /// Who does not ask for more on the same connection waits for its end.
  @Test(arguments: [("1.0", ""), ("1.0", "Connection: Close\r\n"), ("1.1", "Connection: Close, TE\r\n")])
  func aConnectionThatIsNotKeptIsClosed(version: String, more: String) async throws {
    try await TestServer().live { port in
      let reply = try await RawConnection.ask(port, "GET /health HTTP/\(version)\r\nHost: localhost\r\n\(more)\r\n")
      #expect(reply.hasPrefix("HTTP/\(version) 200 ") && reply.lowercased().contains("connection: close"), "\(reply)")
    }
  }

  /// HTTP/1.0 knows no chunks.
  @Test(arguments: ["", "Connection: keep-alive\r\n"]) func anOldClientsStreamEndsWithItsConnection(more: String)
    async throws
  {
    try await TestServer().live { port in
      let body = #"{"prompt": "ab", "max_tokens": 3, "seed": 1, "stream": true}"#
      let reply = try await RawConnection.ask(
        port,
        "POST /v1/completions HTTP/1.0\r\nHost: localhost\r\nContent-Length: \(body.utf8.count)\r\n\(more)\r\n\(body)")
      #expect(reply.hasPrefix("HTTP/1.0 200 ") && !reply.lowercased().contains("transfer-encoding"), "\(reply)")
      #expect(reply.contains("\r\n\r\ndata: {") && reply.hasSuffix("data: [DONE]\n\n"), "\(reply)")
    }
  }

  @Test func aConnectionIsKeptForWhoAsks() async throws {
    try await TestServer().live { port in
      let get = "GET /health HTTP/1.0\r\nHost: localhost\r\n"
      let reply = try await RawConnection.ask(port, get + "Connection: keep-alive\r\n\r\n" + get + "\r\n")
      #expect(reply.matches(of: #/HTTP\/1\.0 200 /#).count == 2, "\(reply)")
      #expect(reply.lowercased().contains("connection: keep-alive"), "\(reply)")
    }
  }

  /// What follows a head would be taken for the next answer.
  @Test func whoAsksForTheHeadGetsNoMore() async throws {
    try await TestServer().live { port in
      for (path, status) in [("/health", 200), ("/v1/nothing", 404)] {
        let reply = try await RawConnection.ask(
          port, "HEAD \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        #expect(reply.hasPrefix("HTTP/1.1 \(status) ") && reply.hasSuffix("\r\n\r\n"), "\(reply)")
      }
    }
  }

  @Test func aBodyInPiecesIsRead() async throws {
    try await TestServer().live { port in
      let body = #"{"prompt": "ab", "max_tokens": 2, "seed": 1}"#
      let pieces = body.map { "1\r\n\($0)\r\n" }.joined() + "0\r\n\r\n"
      let reply = try await RawConnection.ask(
        port,
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
          + pieces)
      #expect(reply.hasPrefix("HTTP/1.1 200 "))
    }
  }

  @Test func whoWaitsToBeAskedForItsBodyIsAsked() async throws {
    try await TestServer().live { port in
      let reply = try await RawConnection.onThread {
        let connection = try RawConnection(port)
        let body = #"{"prompt": "ab", "max_tokens": 2}"#
        connection.send(Self.head(body.utf8.count, "Expect: 100-continue\r\nConnection: close\r\n"))
        let asked = connection.receive(upTo: "\r\n\r\n")
        connection.send(body)
        return [asked, connection.receiveAll()]
      }
      #expect(reply[0].hasPrefix("HTTP/1.1 100 ") && reply[1].hasPrefix("HTTP/1.1 200 "))
    }
  }

  @Test func aBodyThatDoesNotComeIsNotWaitedForLong() async throws {
    try await TestServer { $0.limits.bodySeconds = 0.05 }.live { port in
      let reply = try await RawConnection.onThread {
        let connection = try RawConnection(port)
        connection.send(Self.head(100) + "{")
        return connection.receiveAll()
      }
      #expect(reply.hasPrefix("HTTP/1.1 408 ") && reply.contains("was not there within"))
    }
  }

  /// The largest body is not read before it is refused.
  @Test func aBodyTooLargeIsRefusedByItsLength() async throws {
    try await TestServer { $0.limits.bodyBytes = 1000 }.live { port in
      let reply = try await RawConnection.onThread {
        let connection = try RawConnection(port)
        connection.send(Self.head(9_223_372_036_854_775_807) + "{")
        return connection.receiveAll()
      }
      #expect(reply.hasPrefix("HTTP/1.1 413 "))
      let chunks = String(repeating: "400\r\n" + String(repeating: " ", count: 1024) + "\r\n", count: 3)
      let chunked = try await RawConnection.ask(
        port,
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
      #expect(chunked.hasPrefix("HTTP/1.1 413 "))
    }
  }

  @Test(arguments: [
    "GET\r\n\r\n", "\0\0\0\0", "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "POST /v1/completions HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
  ])
  func whatIsNoHTTPIsRefused(bytes: String) async throws {
    let server = try TestServer()
    try await server.live { port in
      let reply = try await RawConnection.ask(port, bytes)
      #expect(reply.hasPrefix("HTTP/1.1 4") && reply.contains(#""message":"#), "\(reply)")
      // And the server goes on.
      #expect(try await RawConnection.isHealthy(port))
    }
  }
}
