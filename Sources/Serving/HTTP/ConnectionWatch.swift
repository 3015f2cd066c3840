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
      try? pipeline.addHandler(LastRequestMark(), position: .after(decoder.handler))
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
}

/// Says `Connection: close` in its plainest form for whoever means it: HTTP/1.0 without keep-alive, and lists of options.
/// Behind this the version of a request is not known any more.
private final class LastRequestMark: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard case .head(var head) = unwrapInboundIn(data), !head.isKeepAlive else { return context.fireChannelRead(data) }
    head.headers.replaceOrAdd(name: "connection", value: "close")
    context.fireChannelRead(wrapInboundOut(.head(head)))
  }
}
