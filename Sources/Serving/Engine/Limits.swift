/// What a server takes on at most. Whatever goes beyond is refused with words, before memory is taken for it.
public struct Limits: Sendable {
  /// Bytes of a request's body.
  public var bodyBytes = 4 << 20
  /// Bytes of all bodies that are held at one time.
  public var totalBodyBytes = 64 << 20
  /// Seconds until all of a body must be there.
  public var bodySeconds = 30.0
  /// Texts that are written at a time; others wait.
  public var places = 64
  /// Texts that may wait.
  public var queue = 512
  /// Requests that are worked on at a time.
  public var requests = 256
  /// Open connections.
  public var connections = 1024
  /// Texts of one request: prompts × best_of.
  public var textsPerRequest = 128
  /// Seconds that a request may take.
  public var requestSeconds = 600.0
  /// Bytes of caches of given tokens that are kept for later requests that begin alike.
  public var prefixMemory = 256 << 20

  /// The most texts that one request can ever have: more than there is room for would be refused for good.
  var mostTexts: Int { max(1, min(textsPerRequest, places + queue)) }

  /// The usual limits.
  public init() {}
}
