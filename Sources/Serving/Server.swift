import EsoLM
import Faults
import Files
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import Metrics
import NIOCore
import ServiceLifecycle
import Torch

/// Serves a model over HTTP: the interfaces that people's programs speak already, and a page.
///
/// One actor owns the network. Nothing is trained here, and no text of a request is logged.
public struct ModelServer: Sendable {
  /// Where and to whom is served.
  public struct Settings: Sendable {
    /// The name or address to listen on.
    public var host = "127.0.0.1"
    /// 0 for one that is free.
    public var port = 8080
    /// What clients must send; nil for nothing.
    public var key: [UInt8]?
    /// Names of this machine beside localhost.
    public var hosts: Set<String> = []
    /// Pages from elsewhere that may ask.
    public var origins: Set<String> = []
    /// How long streams may go on when the server is asked to stop.
    public var grace = Duration.seconds(30)
    /// How much is taken on.
    public var limits = Limits()

    /// The usual ones.
    public init() {}
  }

  private let settings: Settings
  private let logger: Logger
  package let handlers: Handlers

  /// A server that is ready to run.
  ///
  /// - Parameters:
  ///   - model: what is served.
  ///   - network: the model's network, given away.
  ///   - settings: where, and to whom.
  ///   - logger: what is told of the server's own doings.
  public init(
    _ model: ServedModel, network: sending CachedTransformer, settings: Settings = Settings(),
    logger: Logger = Logger(label: "esolm.serve")
  ) {
    self.settings = settings
    self.logger = logger
    let exposition = PrometheusMetrics()
    let metrics = ServingMetrics(exposition)
    handlers = Handlers(
      model: model,
      engine: Engine(network, method: model.method, limits: settings.limits, metrics: metrics),
      gate: RequestGate(settings.limits), limits: settings.limits, metrics: metrics, exposition: exposition)
  }

  // MARK: Routes

  func router() -> Router<ServingContext> {
    let listed = Router(context: ServingContext.self)
    addRoutes(to: listed)
    let router = Router(context: ServingContext.self, options: .autoGenerateHeadEndpoints)
    router.add(
      middleware: AnswerMiddleware(
        metrics: handlers.metrics, routes: listed.routes.map { "\($0.method) \($0.path)" }.sorted()))
    router.add(middleware: OriginGuard(hosts: settings.hosts, origins: settings.origins))
    router.add(middleware: KeyGuard(key: settings.key))
    addRoutes(to: router)
    return router
  }

  private func addRoutes(to router: Router<ServingContext>) {
    let handlers = handlers
    router.get("/health") { _, _ in Response.json(["status": "ok"]) }
    router.get("/metrics") { _, _ in
      Response(
        status: .ok, headers: [.contentType: "text/plain; version=0.0.4"],
        body: ResponseBody(byteBuffer: ByteBuffer(string: handlers.exposition.text())))
    }
    router.get("/v1/models") { _, _ in Response.json(handlers.models) }
    router.get("/v1/models/:model") { _, context in
      guard context.parameters.get("model") == handlers.model.name else {
        throw APIError(
          .notFound, "there is no such model here, expected '\(handlers.model.name)'", parameter: "model",
          code: "model_not_found")
      }
      return Response.json(handlers.card)
    }
    router.get("/tokenizer_info") { _, _ in Response.json(handlers.tokenizerInfo) }
    router.post("/tokenize", use: handlers.post { fields, _ in try handlers.tokenize(fields) })
    router.post("/detokenize", use: handlers.post { fields, _ in try handlers.detokenize(fields) })
    router.post("/v1/completions", use: handlers.post { try await handlers.completions($0, $1) })
    router.post("/v1/infill", use: handlers.post { try await handlers.infill($0, $1) })
    router.post("/v1/score", use: handlers.post { fields, context in try await handlers.score(fields, context) })
    addDoors(to: router)
    addPage(to: router)
  }

  // MARK: Running

  /// The application, for running it elsewhere.
  ///
  /// - Parameter onRunning: called with the port once it is listened on.
  package func application(
    onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
  ) -> some ApplicationProtocol {
    let limits = settings.limits
    return Application(
      router: router(),
      server: .http1(
        configuration: .init(
          additionalChannelHandlers: [ConnectionWatch()], idleTimeout: .seconds(75),
          httpDecoderConfiguration: .init(
            maxHeaderFieldSize: 16 << 10, maxHeaderListSize: 32 << 10, maxHeaderFieldCount: 100))),
      configuration: ApplicationConfiguration(
        address: .hostname(settings.host, port: settings.port),
        availableConnectionsDelegate: MaximumAvailableConnections(limits.connections, logger: logger)),
      onServerRunning: { channel in await onRunning(channel.localAddress?.port ?? 0) },
      logger: logger)
  }

  /// Serves until it is asked to stop, and then until what was begun is finished.
  ///
  /// - Parameters:
  ///   - stop: returns when the server shall stop, or when its task is cancelled.
  ///   - onRunning: called with the port once it is listened on.
  /// - Throws: ``ListeningError``.
  public func run(
    until stop: @escaping @Sendable () async -> Void, onRunning: @escaping @Sendable (_ port: Int) async -> Void
  ) async throws {
    // The last one is shut down first: what was begun ends, then the server does.
    var configuration = ServiceGroupConfiguration(
      services: [application(onRunning: onRunning), Draining(handlers: handlers, grace: settings.grace)],
      logger: logger)
    // Who keeps a connection open beyond that is cut off.
    configuration.maximumGracefulShutdownDuration = settings.grace + .seconds(3)
    let services = ServiceGroup(configuration: configuration)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask {
        await stop()
        await services.triggerGracefulShutdown()
      }
      do { try await services.run() } catch { throw ListeningError(error) ?? error }
      tasks.cancelAll()
    }
  }
}

/// An address that cannot be listened on.
public struct ListeningError: Error, CustomStringConvertible {
  /// Why, in words.
  public let description: String
  /// Whether another port may do; otherwise the host is wrong.
  public let isOfPort: Bool

  init?(_ error: any Error) {
    switch error {
    case let error as IOError:
      description = String(cString: strerror(error.errnoCode))
      isOfPort = [EADDRINUSE, EACCES].contains(error.errnoCode)
    case is SocketAddressError, is SocketAddressError.UnknownHost:
      (description, isOfPort) = ("there is no such name or address", false)
    default: return nil
    }
  }
}

/// Lets what was begun finish when the server is asked to stop, and cuts off what takes longer.
private struct Draining: Service {
  let handlers: Handlers
  let grace: Duration

  func run() async throws {
    try? await gracefulShutdown()
    handlers.gate.close()
    let end = ContinuousClock.now + grace
    while handlers.gate.count > 0, ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(20)) }
    await handlers.engine.cutOff()
  }
}
