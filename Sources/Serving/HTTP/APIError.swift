import EsoLM
import Evaluation
import Files
import HTTPTypes
import Hummingbird
import Prompts

/// What a client is told when a request cannot be met, typed as OpenAI's interface types errors: its clients make
/// exceptions of the status, and show the message.
struct APIError: Error, Sendable, Equatable {
  var status: HTTPResponse.Status
  var type: String
  var message: String
  /// The field of the request that is wrong.
  var parameter: String?
  var code: String?
  /// Seconds after which trying again makes sense.
  var retryAfter: Int?
  /// What may be done instead, where a path is there but not for this method.
  var allow: String?
  /// Whether what the client still sends is not waited for.
  var closesConnection = false

  init(
    _ status: HTTPResponse.Status, type: String = "invalid_request_error", _ message: String,
    parameter: String? = nil, code: String? = nil, retryAfter: Int? = nil, closesConnection: Bool = false
  ) {
    self.status = status
    self.type = type
    self.message = message
    self.parameter = parameter
    self.code = code
    self.retryAfter = retryAfter
    self.closesConnection = closesConnection
  }

  /// A field that is not what it should be.
  static func field(_ name: String, _ found: String, expected: String) -> APIError {
    APIError(.badRequest, "\(name) is \(found), expected \(expected)", parameter: name)
  }

  /// A text that does not fit into the model's.
  static func tooLong(_ message: String, parameter: String = "prompt") -> APIError {
    APIError(.badRequest, message, parameter: parameter, code: "context_length_exceeded")
  }

  /// More than the server takes on at a time.
  static func busy(_ what: String, retryAfter: Int) -> APIError {
    APIError(
      .tooManyRequests, type: "rate_limit_error", "\(what); try again in \(retryAfter) s", code: "rate_limit_exceeded",
      retryAfter: retryAfter)
  }

  /// The server cannot serve now.
  static func unavailable(_ why: String, retryAfter: Int = 5) -> APIError {
    APIError(.serviceUnavailable, type: "unavailable_error", why, retryAfter: retryAfter)
  }

  /// What was thrown, as clients are told of it. What no client did wrong is not told in detail.
  ///
  /// - Parameter names: fields of a request by the names that they have within.
  init(_ error: any Error, names: [String: String] = [:]) {
    switch error {
    case let error as APIError: self = error
    case let error as ConfigurationError:
      self = .field(names[error.field] ?? Self.names[error.field] ?? error.field, error.found, expected: error.expected)
    case let error as PromptTemplate.SyntaxError: self.init(.badRequest, "\(error)", parameter: "template")
    case let error as SpanError:
      let names = error.places.map { $0.isGiven ? "given[\($0.index)]" : "spans[\($0.index)]" }
      self.init(
        .badRequest, "\(names.isEmpty ? "spans" : names.joined(separator: " and ")): \(error)",
        parameter: names.first ?? "spans")
    case PassageScoring.ScoringError.logits(let error): self.init(error)
    case let error as PassageScoring.ScoringError: self.init(.badRequest, "\(error)")
    case let error as LogitsError:
      self.init(.internalServerError, type: "server_error", "\(error)")
    case let error as JSONSyntaxError: self.init(.badRequest, "the body is \(error)")
    case let error as MemoryBudget.Exceeded:
      self.init(.badRequest, "the body is no request: \(error)")
    case is CancellationError: self.init(.init(code: 499), type: "cancelled", "the client left")
    case let error as HTTPError:
      self.init(error.status, error.body ?? error.status.reasonPhrase)
    default: self.init(.internalServerError, type: "server_error", "the server failed; its log says why")
    }
  }

  private static let names = ["top-p": "top_p", "top-k": "top_k", "template": "prompt", "contextOrder": "order"]

  /// The body that clients read.
  var json: JSONValue {
    [
      "error": [
        "message": .text(message), "type": .text(type), "param": parameter.map { .text($0) } ?? .null,
        "code": code.map { .text($0) } ?? .null,
      ]
    ]
  }
}
