import Files
import Foundation

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// GET requests, answered into memory or a file. Redirects are followed here, so that a token goes to nobody but the
/// host that it was meant for.
struct HTTPClient {
  let token: String?

  /// The connection failed or ended early; asking again may help.
  struct Interrupted: Error {
    let reason: String
  }

  private static let redirectLimit = 10
  private static let silenceLimit: TimeInterval = 30

  /// A whole answer of at most `limit` bytes.
  ///
  /// - Throws: ``Interrupted`` if the hub cannot be reached, else a `FileError`.
  func data(from url: URL, limit: Int, what: String) throws -> Data {
    var body = Data()
    try get(url, from: 0, what: what, start: { _ in body = Data() }) { chunk in
      guard body.count + chunk.count <= limit else {
        throw FileError("\(url) sends more than \(limit) bytes, expected a list of files")
      }
      body += chunk
    }
    return body
  }

  /// Appends an answer to a file that holds the first `offset` bytes, from there if the server can, else from the start.
  func download(
    _ url: URL, from offset: Int, size: Int, to descriptor: Int32, path: String, report: (_ received: Int) -> Void
  ) throws {
    var received = offset
    try get(url, from: offset, what: url.lastPathComponent) { start in
      guard ftruncate(descriptor, off_t(start)) == 0, lseek(descriptor, off_t(start), SEEK_SET) >= 0 else {
        throw FileError("cannot write \(path): \(String(cString: strerror(errno)))")
      }
      received = start
    } chunk: { chunk in
      guard received + chunk.count <= size else { throw FileError("\(url) sends more than \(size) bytes, its size") }
      try chunk.withUnsafeBytes { bytes in
        var rest = bytes[...]
        while !rest.isEmpty {
          let count = write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress!, rest.count)
          if count < 0 && errno == EINTR { continue }
          guard count > 0 else { throw FileError("cannot write \(path): \(String(cString: strerror(errno)))") }
          rest = rest.dropFirst(count)
        }
      }
      received += chunk.count
      report(received)
    }
    guard received == size else { throw Interrupted(reason: "it ended after \(received) of \(size) bytes") }
  }

  /// Calls `start` with the place in the file from which the answer goes on, then `chunk` with its pieces.
  private func get(
    _ url: URL, from offset: Int, what: String, start: (Int) throws -> Void, chunk: (Data) throws -> Void
  ) throws {
    var target = url
    for _ in 0...Self.redirectLimit {
      var request = URLRequest(url: target, cachePolicy: .reloadIgnoringLocalCacheData)
      request.timeoutInterval = Self.silenceLimit
      request.setValue("esolm", forHTTPHeaderField: "User-Agent")
      // Sizes and checksums are of the file as it is.
      request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
      if offset > 0 { request.setValue("bytes=\(offset)-", forHTTPHeaderField: "Range") }
      if let token, target.scheme == url.scheme, target.host == url.host, target.port == url.port {
        request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization")
      }
      let exchange = HTTPExchange(request)
      defer { exchange.end() }
      guard let response = try exchange.response() else { throw Interrupted(reason: "no answer") }
      switch response.statusCode {
      case 200: try start(0)
      case 206:
        guard Self.firstByte(of: response) == offset else { throw Interrupted(reason: "another part of it was sent") }
        try start(offset)
      case 301, 302, 303, 307, 308:
        guard let place = response.value(forHTTPHeaderField: "Location"),
          let next = URL(string: place, relativeTo: target)?.absoluteURL, ["http", "https"].contains(next.scheme),
          next.scheme == target.scheme || next.scheme == "https"
        else { throw FileError("\(target) points to no address that can be asked") }
        // Foundation must not be left in the middle of a redirect.
        exchange.waitForEnd()
        target = next
        continue
      case 401, 403: throw FileError("\(what): access denied by \(url.host ?? "the hub"); HF_TOKEN may name a token")
      case 404: throw FileError("\(what) is not at \(url)")
      case 416:
        try start(0)
        throw Interrupted(reason: "what is there of it does not fit")
      case 429, 500...599: throw Interrupted(reason: "the server answers \(response.statusCode)")
      default: throw FileError("\(url) answers with status \(response.statusCode)")
      }
      while let data = try exchange.next() { try chunk(data) }
      return
    }
    throw FileError("\(url) redirects more than \(Self.redirectLimit) times")
  }

  /// The number after "bytes " in Content-Range.
  private static func firstByte(of response: HTTPURLResponse) -> Int? {
    response.value(forHTTPHeaderField: "Content-Range").flatMap { range in
      range.hasPrefix("bytes ") ? Int(range.dropFirst(6).prefix { $0 != "-" }) : nil
    }
  }
}

/// One request, its answer taken piece by piece by the thread that asks.
private final class HTTPExchange: NSObject, URLSessionDataDelegate, @unchecked Sendable {
  // Everything below is guarded by the condition.
  private let condition = NSCondition()
  private var head: HTTPURLResponse?
  private var pieces: [Data] = []
  private var isFinished = false
  private var failure: (any Error)?
  private var session: URLSession?

  init(_ request: URLRequest) {
    super.init()
    let configuration = URLSessionConfiguration.ephemeral
    configuration.timeoutIntervalForRequest = request.timeoutInterval
    let session = URLSession(configuration: configuration, delegate: self, delegateQueue: nil)
    self.session = session
    session.dataTask(with: request).resume()
  }

  /// Gives up what has not come yet.
  func end() {
    update { isFinished = true }
    session?.invalidateAndCancel()
  }

  /// Waits for the answer's head.
  func response() throws -> HTTPURLResponse? {
    condition.lock()
    defer { condition.unlock() }
    while head == nil && !isFinished { condition.wait() }
    if let failure, head == nil { throw HTTPClient.Interrupted(reason: failure.localizedDescription) }
    return head
  }

  /// Waits for the answer's next piece; nil at its end.
  func next() throws -> Data? {
    condition.lock()
    defer { condition.unlock() }
    while pieces.isEmpty && !isFinished { condition.wait() }
    if !pieces.isEmpty {
      condition.broadcast()
      return pieces.removeFirst()
    }
    if let failure { throw HTTPClient.Interrupted(reason: failure.localizedDescription) }
    return nil
  }

  /// Waits for the end and drops what comes before.
  func waitForEnd() {
    condition.lock()
    defer { condition.unlock() }
    while !isFinished {
      pieces = []
      condition.wait()
    }
  }

  private func update(_ body: () -> Void) {
    condition.lock()
    body()
    condition.broadcast()
    condition.unlock()
  }

  func urlSession(
    _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
    completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
  ) {
    update { head = response as? HTTPURLResponse }
    completionHandler(.allow)
  }

  /// A few pieces wait at most: a slow disk slows the network and does not fill memory.
  func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
    condition.lock()
    while pieces.count > 64 && !isFinished { condition.wait() }
    pieces.append(data)
    condition.broadcast()
    condition.unlock()
  }

  func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
    update {
      isFinished = true
      failure = error
    }
  }

  func urlSession(
    _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
    newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
  ) {
    completionHandler(nil)
    update { head = response }
  }
}
