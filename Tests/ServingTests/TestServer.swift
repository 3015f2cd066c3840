import EsoLM
import Files
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOEmbedded
import Synchronization
import TestSupport
import Testing
import Tokenizers
import Torch

import Serving

/// A server of a small network with weights at random, asked without a socket in between unless a test wants one.
struct TestServer: Sendable {
  static let tokenizer = CharacterTokenizer(text: "abcdefgh \n.")

  let server: ModelServer
  private let configuration: TransformerConfiguration
  let method: any GenerationMethod

  /// The network that the server has unless another is given.
  static var configuration: TransformerConfiguration { .small(vocabulary: tokenizer.modelVocabularySize) }

  init(
    _ method: any GenerationMethod = try! EsotericMethod(alpha0: 0.5), tokenizer: any Tokenizer = tokenizer,
    length: Int = 48, conditioning: Int? = 8, created: Int = 1,
    weights given: sending TransformerWeights? = nil, _ change: (inout ModelServer.Settings) -> Void = { _ in }
  ) throws {
    configuration = .small(
      vocabulary: tokenizer.modelVocabularySize, conditioning: method is AutoregressiveMethod ? nil : conditioning)
    self.method = method
    var settings = ModelServer.Settings()
    settings.port = 0
    settings.grace = .seconds(5)
    change(&settings)
    let model = try ServedModel(
      name: "tiny", method: method, tokenizer: tokenizer, network: configuration, length: length, created: created)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    server = ModelServer(
      model, network: CachedTransformer((given ?? .random(configuration)).transformer()), settings: settings,
      logger: logger)
  }

  /// The same as the server's.
  var weights: TransformerWeights { .random(configuration) }
  var engine: Engine { server.handlers.engine }
  var likelihood: Likelihood { Likelihood(weights.transformer(), method: method) }

  /// Waits until the engine is in a certain state; not for ever.
  func wait(until condition: ((texts: Int, cacheBytes: Int, keptBytes: Int)) -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while await !condition(engine.state), ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(1)) }
    #expect(await condition(engine.state))
  }

  /// Asks the router.
  func test<Value: Sendable>(_ body: @escaping @Sendable (Client) async throws -> Value) async throws -> Value {
    try await body(Client(server))
  }

  /// Runs the server, and tells the port of this machine that it listens on.
  func live<Value: Sendable>(_ body: @escaping @Sendable (_ port: Int) async throws -> Value) async throws -> Value {
    let (ports, found) = AsyncStream.makeStream(of: Int.self)
    let application = server.application { found.yield($0) }
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        defer { found.finish() }
        try await application.run()
      }
      defer { group.cancelAll() }
      guard let port = await ports.first(where: { _ in true }) else {
        try await group.waitForAll()
        throw CancellationError()
      }
      return try await body(port)
    }
  }
}

/// An answer, read.
struct Reply: Sendable {
  let status: Int
  let headers: HTTPFields
  let body: [UInt8]

  /// Seconds after which to try again; −1 if none are named.
  var retryAfter: Int { headers[.retryAfter].flatMap { Int($0) } ?? -1 }

  var text: String { String(decoding: body, as: UTF8.self) }
  var json: JSONValue {
    get throws { try JSONValue(parsing: body) }
  }

  /// The events of a stream, of which `[DONE]` must be the last, and each ended by an empty line.
  func events(sourceLocation: SourceLocation = #_sourceLocation) throws -> [JSONValue] {
    #expect(headers[.contentType] == "text/event-stream", sourceLocation: sourceLocation)
    var parts = text.components(separatedBy: "\n\n")
    #expect(parts.removeLast() == "", "\(text)", sourceLocation: sourceLocation)
    #expect(parts.popLast() == "data: [DONE]", "\(text)", sourceLocation: sourceLocation)
    return try parts.map { part in
      try #require(part.hasPrefix("data: ") && !part.contains("\n"), sourceLocation: sourceLocation)
      return try JSONValue(parsing: part.dropFirst("data: ".count).utf8)
    }
  }

  /// The error of a request that was refused.
  var error: (message: String, type: String?, param: String?, code: String?) {
    get throws {
      let error = try #require(try json["error"])
      return (try #require(error["message"]?.text), error["type"]?.text, error["param"]?.text, error["code"]?.text)
    }
  }
}

/// Asks a server's router.
struct Client: Sendable {
  private let respond: @Sendable (Request) async throws -> Response

  init(_ server: ModelServer) async throws { respond = try await Self.responder(of: server.application()) }

  private static func responder<Application: ApplicationProtocol>(
    of application: Application
  ) async throws -> @Sendable (Request) async throws -> Response {
    let responder = try await application.responder
    return { request in
      let source = ApplicationRequestContextSource(channel: NIOAsyncTestingChannel(), logger: application.logger)
      return try await responder.respond(to: request, context: Application.Context(source: source))
    }
  }

  func send(
    _ method: HTTPRequest.Method, _ path: String, _ body: [UInt8]? = nil, _ headers: HTTPFields = [:]
  ) async throws -> Reply {
    var headers = headers
    if let body { headers[.contentLength] = "\(body.count)" }
    let response = try await respond(
      Request(
        head: HTTPRequest(method: method, scheme: "http", authority: "localhost", path: path, headerFields: headers),
        body: RequestBody(buffer: ByteBuffer(bytes: body ?? []))))
    let written = Written()
    try await response.body.write(written)
    return Reply(status: response.status.code, headers: response.headers, body: written.bytes.withLock { $0 })
  }

  /// What is written of an answer.
  private final class Written: ResponseBodyWriter, Sendable {
    let bytes = Mutex<[UInt8]>([])

    func write(_ buffer: ByteBuffer) { bytes.withLock { $0 += buffer.readableBytesView } }
    func finish(_ trailer: HTTPFields?) {}
  }

  func get(_ path: String, _ headers: HTTPFields = [:]) async throws -> Reply {
    try await send(.get, path, nil, headers)
  }

  func post(_ path: String, _ body: String, _ headers: HTTPFields = [:]) async throws -> Reply {
    try await send(.post, path, Array(body.utf8), headers)
  }

  /// What must succeed.
  func answer(_ path: String, _ body: String, sourceLocation: SourceLocation = #_sourceLocation) async throws
    -> JSONValue
  {
    let reply = try await post(path, body)
    try #require(reply.status == 200, "\(reply.text)", sourceLocation: sourceLocation)
    return try reply.json
  }
}

extension JSONValue {
  subscript(index: Int) -> JSONValue { elements![index] }
  var double: Double? { if case .number(let value) = self { value } else { nil } }
  var keys: [String] {
    if case .object(let members) = self { members.map { String(decoding: $0.key, as: UTF8.self) } } else { [] }
  }
  var isNull: Bool { if case .null = self { true } else { false } }
  var choices: [JSONValue] { self["choices"]?.elements ?? [] }
  var texts: [String] { choices.compactMap { $0["text"]?.text } }
  var reasons: [String?] { choices.map { $0["finish_reason"]?.text } }
}

/// A tokenizer of the letters that editors' paths bring with them, such as the # before a file's name.
enum ByteLetters {
  static let tokenizer = CharacterTokenizer(text: "abcdefghijklmnopqrstuvwxyz \n.#")
}
