import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import Synchronization

/// Tells who works for a connection that its client has gone, also while nothing is read or written; and answers
/// `Expect: 100-continue`, without which some clients wait a second before they send a large body.
final class ConnectionWatch: ChannelDuplexHandler, RemovableChannelHandler, Sendable {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  private struct State {
    var isClosed = false
    var handlers: [Int: @Sendable () -> Void] = [:]
    var next = 0
  }

  private static let all = Mutex<[ObjectIdentifier: ConnectionWatch]>([:])
  private let state = Mutex(State())

  /// The watch of a connection; nil for one that is none, as in tests of the router.
  static func of(_ channel: any Channel) -> ConnectionWatch? { all.withLock { $0[ObjectIdentifier(channel)] } }

  var isClosed: Bool { state.withLock { $0.isClosed } }

  /// Calls `handler` when the client goes, at once if it has gone.
  ///
  /// - Returns: what forgets it.
  func onClose(_ handler: @escaping @Sendable () -> Void) -> @Sendable () -> Void {
    let number = state.withLock { state -> Int? in
      guard !state.isClosed else { return nil }
      defer { state.next += 1 }
      state.handlers[state.next] = handler
      return state.next
    }
    guard let number else {
      handler()
      return {}
    }
    return { [self] in state.withLock { $0.handlers[number] = nil } }
  }

  private func close() {
    let handlers = state.withLock { state in
      state.isClosed = true
      defer { state.handlers = [:] }
      return state.handlers.values
    }
    for handler in handlers { handler() }
  }

  // MARK: Channel

  func handlerAdded(context: ChannelHandlerContext) {
    let key = ObjectIdentifier(context.channel)
    Self.all.withLock { $0[key] = self }
    let pipeline = context.pipeline.syncOperations
    if let decoder = try? pipeline.context(handlerType: ByteToMessageHandler<HTTPRequestDecoder>.self) {
      try? pipeline.addHandler(VersionHandler(), position: .after(decoder.handler))
    }
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    let key = ObjectIdentifier(context.channel)
    Self.all.withLock { $0[key] = nil }
    close()
  }

  func channelInactive(context: ChannelHandlerContext) {
    close()
    context.fireChannelInactive()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if let event = event as? ChannelEvent, event == .inputClosed { close() }
    context.fireUserInboundEventTriggered(event)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if case .head(let head) = unwrapInboundIn(data), head.headerFields[.expect]?.lowercased() == "100-continue" {
      context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
    }
    context.fireChannelRead(data)
  }

  /// Hummingbird answers what is no HTTP with an empty 400, in turn after the answers before; nothing of ours is empty.
  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard case .head(var head) = unwrapOutboundIn(data), head.status == .badRequest,
      head.headerFields[.contentLength] == "0"
    else { return context.write(data, promise: promise) }
    let error = APIError(
      .badRequest, "this is no HTTP request, expected a method, a path, header fields and a body of the length they say"
    )
    let bytes = ByteBuffer(bytes: error.json.strictJSON)
    head.headerFields[.contentLength] = "\(bytes.readableBytes)"
    head.headerFields[.contentType] = "application/json"
    context.write(wrapOutboundOut(.head(head)), promise: promise)
    context.write(wrapOutboundOut(.body(bytes)), promise: nil)
  }
}

/// What the version of a request is needed for; it is not known any more behind this.
///
/// Says `Connection: close` in its plainest form for whoever means it: HTTP/1.0 without keep-alive, and lists of
/// options. And answers HTTP/1.0 as such: it knows no chunks, so an answer of unknown length ends with its connection.
private final class VersionHandler: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  /// Of the requests that are not answered yet: a client may send the next one before.
  private var requests: [(isOld: Bool, isKept: Bool)] = []
  private var endsConnection = false

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard case .head(var head) = unwrapInboundIn(data) else { return context.fireChannelRead(data) }
    requests.append(((head.version.major, head.version.minor) < (1, 1), head.isKeepAlive))
    guard !head.isKeepAlive else { return context.fireChannelRead(data) }
    head.headers.replaceOrAdd(name: "connection", value: "close")
    context.fireChannelRead(wrapInboundOut(.head(head)))
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .head(var head) where requests.first?.isOld == true && head.status.code >= 200:
      head.version = .http1_0
      endsConnection = !head.headers.contains(name: "content-length")
      let isKept = requests[0].isKept && !endsConnection
      head.headers.replaceOrAdd(name: "connection", value: isKept ? "keep-alive" : "close")
      context.write(wrapOutboundOut(.head(head)), promise: promise)
    case .end where endsConnection:
      context.writeAndFlush(data).whenComplete { [channel = context.channel] result in
        promise?.completeWith(result)
        channel.close(promise: nil)
      }
    case .end:
      if !requests.isEmpty { requests.removeFirst() }
      context.write(data, promise: promise)
    default: context.write(data, promise: promise)
    }
  }
}
