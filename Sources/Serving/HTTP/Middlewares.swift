import Files
import HTTPTypes
import Hummingbird
import Logging

/// Turns whatever is thrown into what clients read, counts answers and logs them, without anything that was sent.
struct AnswerMiddleware: RouterMiddleware {
  let metrics: ServingMetrics
  /// What is answered: `GET /health`.
  let routes: [String]

  func handle(
    _ request: Request, context: ServingContext, next: (Request, ServingContext) async throws -> Response
  ) async throws -> Response {
    let start = ContinuousClock.now
    var response: Response
    do {
      response = try await next(request, context)
    } catch {
      let told: APIError
      if let error = error as? HTTPError, error.status == .notFound {
        told = nothing(at: request)
      } else {
        told = APIError(error)
      }
      if told.status == .internalServerError { context.logger.error("\(request.method) \(request.uri.path): \(error)") }
      response = .error(told, in: context)
    }
    // A body where none is expected would be read as the next answer.
    if request.method == .head { response = response.createHeadResponse() }
    response.headers[.init("X-Content-Type-Options")!] = "nosniff"
    if request.headers[.connection] == "close" { response.headers[.connection] = "close" }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    let path = context.endpointPath ?? "none"
    metrics.answered(path, status: response.status.code)
    metrics.requestSeconds.recordSeconds(seconds)
    context.logger.debug("\(request.method) \(path) \(response.status.code) \(seconds) s")
    return response
  }

  private func nothing(at request: Request) -> APIError {
    let path = request.uri.path
    let methods = routes.filter { $0.split(separator: " ").last.map(String.init) == path }
      .compactMap { $0.split(separator: " ").first }.joined(separator: ", ")
    guard methods.isEmpty else {
      var error = APIError(
        .methodNotAllowed, "\(path) is not there for \(request.method), expected \(methods)", code: "method_not_allowed"
      )
      error.allow = methods
      return error
    }
    return APIError(
      .notFound,
      "there is nothing at \(request.method) \(path.quotedShort), expected one of " + routes.joined(separator: ", "),
      code: "not_found")
  }
}

/// Keeps web pages from elsewhere away from a server on the user's own machine. A browser names the page that asks
/// (Origin), and the name by which it found the server (Host): a name that someone else's DNS points here is none of ours.
struct OriginGuard: RouterMiddleware {
  /// Names beside localhost and addresses.
  let hosts: Set<String>
  /// Pages from elsewhere that may ask, such as `https://example.org`.
  let origins: Set<String>

  func handle(
    _ request: Request, context: ServingContext, next: (Request, ServingContext) async throws -> Response
  ) async throws -> Response {
    let authority = request.head.authority ?? request.headers[.init("Host")!] ?? ""
    guard isOwn(Self.host(of: authority)) else {
      throw APIError(
        .forbidden, type: "permission_error",
        "host \(authority.quotedShort) is not this server's, expected localhost or an address; --allow-host adds a name"
      )
    }
    guard let origin = request.headers[.origin] else { return try await next(request, context) }
    let isAllowed = origins.contains(origin)
    guard isAllowed || Self.authority(of: origin) == authority.lowercased() else {
      throw APIError(
        .forbidden, type: "permission_error",
        "pages of \(origin.quotedShort) may not ask this server; --allow-origin lets them")
    }
    guard isAllowed else { return try await next(request, context) }
    var response =
      request.method == .options
      ? Response(status: .noContent) : try await respond(to: request, context: context, next: next)
    response.headers[.accessControlAllowOrigin] = origin
    response.headers[.accessControlAllowHeaders] = "authorization, content-type"
    response.headers[.accessControlAllowMethods] = "GET, POST"
    response.headers[.vary] = "Origin"
    return response
  }

  /// Pages that may ask may also read what went wrong.
  private func respond(
    to request: Request, context: ServingContext, next: (Request, ServingContext) async throws -> Response
  ) async throws -> Response {
    do { return try await next(request, context) } catch { return .error(APIError(error), in: context) }
  }

  private func isOwn(_ host: String) -> Bool {
    host == "localhost" || hosts.contains(host) || Self.isAddress(host)
  }

  /// Whether it is an address, which no DNS answers for.
  private static func isAddress(_ host: String) -> Bool {
    if host.hasPrefix("["), host.hasSuffix("]") {
      return host.dropFirst().dropLast().allSatisfy { $0.isHexDigit || $0 == ":" || $0 == "." }
    }
    let numbers = host.split(separator: ".", omittingEmptySubsequences: false)
    return numbers.count == 4 && numbers.allSatisfy { UInt8($0) != nil }
  }

  private static func host(of authority: String) -> String {
    let text = authority.lowercased()
    if text.hasPrefix("["), let end = text.firstIndex(of: "]") { return String(text[...end]) }
    return String(text.prefix { $0 != ":" })
  }

  private static func authority(of origin: String) -> String? {
    guard let scheme = origin.range(of: "://") else { return nil }
    return origin[scheme.upperBound...].lowercased()
  }
}

/// Lets in who knows the key.
struct KeyGuard: RouterMiddleware {
  let key: [UInt8]?
  /// What is open to everyone: whether the server is there, and the page, which asks for the key.
  private static let open: Set<String> = ["/", "/health", "/page.css", "/page.js"]

  func handle(
    _ request: Request, context: ServingContext, next: (Request, ServingContext) async throws -> Response
  ) async throws -> Response {
    guard let key, !Self.open.contains(request.uri.path) else { return try await next(request, context) }
    let header = request.headers[.authorization] ?? ""
    let given = header.lowercased().hasPrefix("bearer ") ? Array(header.utf8.dropFirst("bearer ".utf8.count)) : []
    guard Secret.areEqual(given, key) else {
      throw APIError(
        .unauthorized, type: "authentication_error",
        given.isEmpty
          ? "no API key was sent, expected the header Authorization: Bearer KEY" : "the API key is not this server's",
        code: "invalid_api_key")
    }
    return try await next(request, context)
  }
}

/// How secrets are compared.
package enum Secret {
  /// Takes as long for a key that differs in its first byte as for one that differs in its last.
  package static func areEqual(_ given: [UInt8], _ key: [UInt8]) -> Bool {
    var difference = UInt8(given.count == key.count ? 0 : 1)
    for place in key.indices { difference |= key[place] ^ (place < given.count ? given[place] : ~key[place]) }
    return difference == 0
  }
}
