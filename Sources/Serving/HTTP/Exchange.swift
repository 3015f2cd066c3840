import Files
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// One request as handlers see it.
struct ServingContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let watch: ConnectionWatch?
  let channel: any Channel

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
    watch = ConnectionWatch.of(source.channel)
  }

  /// Throws if the client has gone.
  func requireClient() throws { if watch?.isClosed == true { throw CancellationError() } }
}

extension Response {
  /// A reply in JSON.
  static func json(_ value: JSONValue, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) -> Response {
    var headers = headers
    headers[.contentType] = "application/json"
    return Response(
      status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: value.strictJSON)))
  }

  /// What a client is told of an error.
  static func error(_ error: APIError, in context: ServingContext) -> Response {
    var headers: HTTPFields = [:]
    if let seconds = error.retryAfter { headers[.retryAfter] = "\(min(60, max(1, seconds)))" }
    if let methods = error.allow { headers[.allow] = methods }
    if error.status == .unauthorized { headers[.wwwAuthenticate] = "Bearer" }
    guard error.closesConnection else { return .json(error.json, status: error.status, headers: headers) }
    headers[.connection] = "close"
    headers[.contentType] = "application/json"
    let bytes = ByteBuffer(bytes: error.json.strictJSON)
    return Response(
      status: error.status, headers: headers,
      body: ResponseBody(contentLength: bytes.readableBytes) { writer in
        try await writer.write(bytes)
        try await writer.finish(nil)
        context.channel.close(promise: nil)
      })
  }
}

/// Events of a stream, each a line of JSON: as server-sent events, or as lines alone (NDJSON).
struct EventStream {
  enum Form {
    case events, lines

    var contentType: String { self == .events ? "text/event-stream" : "application/x-ndjson" }
  }

  private var writer: any ResponseBodyWriter
  private let form: Form

  init(_ writer: any ResponseBodyWriter, _ form: Form) {
    self.writer = writer
    self.form = form
  }

  mutating func send(_ value: JSONValue) async throws {
    var bytes: [UInt8] = form == .events ? Array("data: ".utf8) : []
    bytes += value.strictJSON
    // A client loses an event that no empty line ends.
    bytes += Array(form == .events ? "\n\n".utf8 : "\n".utf8)
    try await writer.write(ByteBuffer(bytes: bytes))
  }

  /// Ends the stream; an error is the last thing that the client hears.
  mutating func end(sayingDone: Bool, error: APIError? = nil) async throws {
    if let error { try await send(error.json) }
    if sayingDone { try await writer.write(ByteBuffer(string: "data: [DONE]\n\n")) }
    try await writer.finish(nil)
  }

  /// A reply that is written while it is made.
  ///
  /// - Parameters:
  ///   - form: how events are told apart.
  ///   - sayingDone: whether `[DONE]` ends it.
  ///   - body: sends events; an error that it throws is sent too.
  static func response(
    _ form: Form = .events, sayingDone: Bool = true,
    _ body: @escaping @Sendable (_ stream: inout EventStream) async throws -> Void
  ) -> Response {
    Response(
      status: .ok,
      headers: [.contentType: form.contentType, .cacheControl: "no-store", .init("X-Accel-Buffering")!: "no"],
      body: ResponseBody { writer in
        var stream = EventStream(writer, form)
        do {
          try await body(&stream)
        } catch is CancellationError {
          // Nobody listens.
          return try await stream.end(sayingDone: false)
        } catch {
          return try await stream.end(sayingDone: sayingDone, error: APIError(error))
        }
        try await stream.end(sayingDone: sayingDone)
      })
  }
}

/// Reads a request's body whole, as far as there is room for it and it comes in time.
struct BodyReading {
  let limits: Limits

  func bytes(of request: Request, on channel: any Channel, place: RequestGate.Place) async throws -> [UInt8] {
    if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > limits.bodyBytes {
      throw APIError(
        .contentTooLarge,
        "the body has \(length) bytes, and at most \(limits.bodyBytes) are read; send it in several requests",
        closesConnection: true)
    }
    let seconds = limits.bodySeconds
    let body = request.body
    return try await withReading(
      of: { try await Self.collect(body, place) }, within: seconds, on: channel.eventLoop)
  }

  private static func collect(_ body: RequestBody, _ place: RequestGate.Place) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    do {
      for try await part in body {
        try place.take(part.readableBytes)
        bytes += part.readableBytesView
      }
    } catch let error as APIError {
      throw error
    } catch {
      try Task.checkCancellation()
      throw APIError(.badRequest, "the body ends too soon or is malformed", closesConnection: true)
    }
    // Reading that is given up ends like a body.
    try Task.checkCancellation()
    return bytes
  }

  /// The event loop keeps the time: a sleeping task that is cancelled would stay in memory until it was to awake.
  private func withReading(
    of read: @escaping @Sendable () async throws -> [UInt8], within seconds: Double, on loop: any EventLoop
  ) async throws -> [UInt8] {
    let reading = Task { try await read() }
    let timer = loop.scheduleTask(in: .milliseconds(Int64(seconds * 1000))) { reading.cancel() }
    defer { timer.cancel() }
    do {
      return try await withTaskCancellationHandler {
        try await reading.value
      } onCancel: {
        reading.cancel()
      }
    } catch is CancellationError {
      try Task.checkCancellation()
      throw APIError(.requestTimeout, "the body was not there within \(Int(seconds)) s", closesConnection: true)
    }
  }
}
