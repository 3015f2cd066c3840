import CommandSupport
import Files
import Foundation
import Randomness
import Testing

import Serving

/// Requests that nobody means: each gets a clear answer, none takes the server down.
@Suite("Malformed requests")
struct FuzzTests {
  /// 10,000 bodies on all paths. What can be answered is, in one way or the other; what cannot is a 4xx with words.
  @Test func noBodyIsTooStrange() async throws {
    let server = try TestServer { $0.limits.textsPerRequest = 4 }
    try await server.test { client in
      var random = CounterGenerator(seed: 15, stream: .toyLanguage)
      var refused = 0
      for number in 0..<10_000 {
        let path = MalformedBodies.paths[number % MalformedBodies.paths.count]
        let body = MalformedBodies.next(&random, for: path)
        let reply = try await client.send(.post, path, body)
        let isRefused = (400..<500).contains(reply.status)
        refused += isRefused ? 1 : 0
        let text = String(decoding: body.prefix(200), as: UTF8.self)
        #expect(isRefused || reply.status == 200, "\(path) \(text): \(reply.text)")
        if isRefused { #expect(try !reply.error.message.isEmpty, "\(path) \(text)") }
        if reply.text.contains("server_error") { Issue.record("\(path) \(text): \(reply.text)") }
      }
      // Nearly all of them are wrong somehow, and some are not.
      #expect((6000..<10_000).contains(refused), "\(refused)")
    }
    let state = await server.engine.state
    #expect(state.texts == 0 && state.cacheBytes <= state.keptBytes)
  }

  /// The same on the wire: heads that are broken, lengths that lie, bodies cut off.
  @Test func noConnectionIsTooStrange() async throws {
    let server = try TestServer { $0.limits.bodySeconds = 0.2 }
    try await server.live { port in
      let statuses = try await RawConnection.onThread { () throws -> [String] in
        var random = CounterGenerator(seed: 16, stream: .toyLanguage)
        return try (0..<400).map { number in
          let path = MalformedBodies.paths[number % MalformedBodies.paths.count]
          let body = MalformedBodies.next(&random, for: path)
          let lie = [0, 0, 0, -1, 3][Int.random(in: 0..<5, using: &random)]
          var bytes = Array(
            "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(max(0, body.count + lie))\r\nConnection: close\r\n\r\n"
              .utf8)
          if number.isMultiple(of: 4) {
            let place = Int.random(in: bytes.indices, using: &random)
            bytes[place] = UInt8.random(in: 0...255, using: &random)
          }
          let connection = try RawConnection(port)
          connection.send(bytes + body)
          // A third hang up without waiting.
          return number.isMultiple(of: 3) ? "" : String(connection.receive(upTo: "\r\n").prefix(12))
        }
      }
      for status in statuses where !status.isEmpty {
        #expect(status.hasPrefix("HTTP/1.1 2") || status.hasPrefix("HTTP/1.1 4"), "\(status)")
      }
      #expect(try await RawConnection.isHealthy(port))
    }
  }
}
