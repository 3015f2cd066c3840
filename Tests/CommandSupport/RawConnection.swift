import Foundation

/// A connection to a server on this machine, byte by byte, as no client of good manners would have it.
public final class RawConnection: @unchecked Sendable {
  private let socket: Int32

  /// Connects to a port of this machine.
  public init(_ port: Int) throws {
    #if os(Linux)
      socket = Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      socket = Foundation.socket(AF_INET, SOCK_STREAM, 0)
    #endif
    var place = sockaddr_in()
    place.sin_family = sa_family_t(AF_INET)
    place.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    place.sin_port = UInt16(port).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let done = withUnsafePointer(to: &place) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, size) }
    }
    guard done == 0 else {
      close(socket)
      throw CommandTimeout(description: "no connection to port \(port): \(String(cString: strerror(errno)))")
    }
    // Longer than anything takes; a server that hangs fails the test.
    var wait = timeval(tv_sec: 60, tv_usec: 0)
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { hangUp() }

  private var isOpen = true

  /// Closes both directions.
  public func hangUp() {
    guard isOpen else { return }
    isOpen = false
    close(socket)
  }

  /// Sends bytes; those that the server no longer takes are lost.
  public func send(_ bytes: some Sequence<UInt8>) {
    var rest = Array(bytes)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Foundation.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }

  /// Sends text.
  public func send(_ text: String) { send(text.utf8) }

  /// Some of what the server sends, at least one byte; nothing once it has closed.
  public func receive() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 1 << 14)
    let count = recv(socket, &bytes, bytes.count, 0)
    return count > 0 ? Array(bytes[..<count]) : []
  }

  /// Everything up to a text, or up to where the server closes.
  public func receive(upTo end: String) -> String {
    var bytes: [UInt8] = []
    while !String(decoding: bytes, as: UTF8.self).contains(end) {
      let more = receive()
      if more.isEmpty { break }
      bytes += more
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Everything until the server closes.
  public func receiveAll() -> String {
    var bytes: [UInt8] = []
    while case let more = receive(), !more.isEmpty { bytes += more }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Sends a request that ends its connection, and waits for the whole answer on a thread that may wait.
  public static func ask(_ port: Int, _ request: String) async throws -> String {
    try await onThread { () throws -> String in
      let connection = try RawConnection(port)
      connection.send(request)
      return connection.receiveAll()
    }
  }

  /// Whether a server still answers.
  public static func isHealthy(_ port: Int) async throws -> Bool {
    try await ask(port, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
      .hasPrefix("HTTP/1.1 200 ")
  }

  /// Runs what blocks on a thread of its own.
  public static func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result
  {
    try await withCheckedThrowingContinuation { done in
      Thread.detachNewThread { done.resume(with: Swift.Result { try body() }) }
    }
  }
}
