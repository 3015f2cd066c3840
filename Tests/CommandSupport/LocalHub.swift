import Foundation

/// A hub of models on this machine, which can be told to misbehave. It answers as the public one does: a list of files with
/// sizes and checksums, and each file behind a redirect.
public final class LocalHub: @unchecked Sendable {
  public struct File: Sendable {
    public var name: String
    public var data: Data
    /// What the list says, in place of the truth.
    public var checksum: String
    /// Whether it is one of the large files, which are named by SHA-256 and not by git's SHA-1.
    public var isLarge: Bool

    public init(_ name: String, _ data: Data, checksum: String, isLarge: Bool) {
      self.name = name
      self.data = data
      self.checksum = checksum
      self.isLarge = isLarge
    }
  }

  public struct Request: Sendable {
    public var path: String
    public var headers: [String: String]
    public var range: Int? { headers["range"].flatMap { Int($0.dropFirst("bytes=".count).dropLast()) } }
  }

  public let address: String
  public let commit = "0123456789abcdef0123456789abcdef01234567"
  private let socket: Int32
  private let lock = NSLock()
  private var _files: [File]
  private var _requests: [Request] = []
  private var _cuts: [Int] = []
  private var _statuses: [Int] = []
  private var _ignoresRanges = false

  public init(_ files: [File]) throws {
    _files = files
    // SOCK_STREAM is an enumeration on Linux and a number elsewhere.
    #if os(Linux)
      let socket = Foundation.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
      let socket = Foundation.socket(AF_INET, SOCK_STREAM, 0)
    #endif
    self.socket = socket
    var place = sockaddr_in()
    place.sin_family = sa_family_t(AF_INET)
    place.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &place) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        bind(socket, pointer, size) == 0 && listen(socket, 16) == 0 && getsockname(socket, pointer, &size) == 0
      }
    }
    guard bound else { throw CommandTimeout(description: "no local server: \(String(cString: strerror(errno)))") }
    address = "http://127.0.0.1:\(UInt16(bigEndian: place.sin_port))"
    let server = Unowned(self)
    Thread.detachNewThread {
      while true {
        let connection = accept(socket, nil, nil)
        guard connection >= 0 else { return }
        Thread.detachNewThread {
          server.object?.answer(connection)
          close(connection)
        }
      }
    }
  }

  private final class Unowned: @unchecked Sendable {
    weak var object: LocalHub?
    init(_ object: LocalHub) { self.object = object }
  }

  deinit {
    shutdown(socket, Int32(SHUT_RDWR))
    close(socket)
  }

  private func locked<Result>(_ body: () -> Result) -> Result {
    lock.lock()
    defer { lock.unlock() }
    return body()
  }

  /// What was asked so far.
  public var requests: [Request] { locked { _requests } }

  public var files: [File] {
    get { locked { _files } }
    set { locked { _files = newValue } }
  }

  /// After how many bytes the next answers with a file break off.
  public func cut(after bytes: [Int]) { locked { _cuts = bytes } }

  /// What the next answers with a file are in its place.
  public func fail(with statuses: [Int]) { locked { _statuses = statuses } }

  /// Whether files are always sent from their first byte.
  public func ignoreRanges() { locked { _ignoresRanges = true } }

  // MARK: Answers

  private func answer(_ connection: Int32) {
    guard let request = read(connection) else { return }
    locked { _requests.append(request) }
    let parts = request.path.prefix { $0 != "?" }.split(separator: "/").map(String.init)
    if parts.prefix(2) == ["api", "models"] { return send(connection, 200, body: listing()) }
    if let file = parts.firstIndex(of: "resolve").flatMap({ place in
      files.first { $0.name == parts.dropFirst(place + 2).joined(separator: "/") }
    }) {
      // As the public hub: the file itself is elsewhere. "localhost" is another host than 127.0.0.1 to a client.
      let elsewhere = address.replacingOccurrences(of: "127.0.0.1", with: "localhost")
      return send(connection, 302, headers: ["Location": "\(elsewhere)/blobs/\(file.name)"])
    }
    guard parts.first == "blobs", let file = files.first(where: { $0.name == parts.dropFirst().joined(separator: "/") })
    else { return send(connection, 404) }
    if let status = locked({ _statuses.isEmpty ? nil : _statuses.removeFirst() }) { return send(connection, status) }
    let start = locked { _ignoresRanges } ? nil : request.range
    if let start, start >= file.data.count { return send(connection, 416) }
    let body = file.data.dropFirst(start ?? 0)
    let cut = locked { _cuts.isEmpty ? nil : _cuts.removeFirst() }
    let range = start.map { ["Content-Range": "bytes \($0)-\(file.data.count - 1)/\(file.data.count)"] } ?? [:]
    send(connection, start == nil ? 200 : 206, headers: range, body: Data(body), sending: cut)
  }

  private func listing() -> Data {
    let files: [[String: Any]] = files.map { file in
      var entry: [String: Any] = ["rfilename": file.name, "size": file.data.count]
      if file.isLarge {
        entry["lfs"] = ["sha256": file.checksum, "size": file.data.count]
        entry["blobId"] = String(repeating: "0", count: 40)
      } else {
        entry["blobId"] = file.checksum
      }
      return entry
    }
    return try! JSONSerialization.data(withJSONObject: ["sha": commit, "siblings": files])
  }

  private func read(_ connection: Int32) -> Request? {
    var head = Data()
    var byte: UInt8 = 0
    while !head.suffix(4).elementsEqual("\r\n\r\n".utf8) {
      guard recv(connection, &byte, 1, 0) == 1, head.count < 1 << 16 else { return nil }
      head.append(byte)
    }
    let lines = String(decoding: head, as: UTF8.self).components(separatedBy: "\r\n")
    let headers = lines.dropFirst().compactMap { line -> (String, String)? in
      guard let colon = line.firstIndex(of: ":") else { return nil }
      return (line[..<colon].lowercased(), line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces))
    }
    let words = lines[0].split(separator: " ")
    guard words.count == 3, words[0] == "GET" else { return nil }
    return Request(path: String(words[1]), headers: Dictionary(headers) { first, _ in first })
  }

  private func send(
    _ connection: Int32, _ status: Int, headers: [String: String] = [:], body: Data = Data(), sending: Int? = nil
  ) {
    var head = "HTTP/1.1 \(status) x\r\nConnection: close\r\nContent-Length: \(body.count)\r\n"
    for (name, value) in headers { head += "\(name): \(value)\r\n" }
    let bytes = Data((head + "\r\n").utf8) + body.prefix(sending ?? body.count)
    bytes.withUnsafeBytes { buffer in
      var sent = 0
      while sent < buffer.count {
        #if os(Linux)
          let count = Foundation.send(connection, buffer.baseAddress! + sent, buffer.count - sent, Int32(MSG_NOSIGNAL))
        #else
          let count = Foundation.send(connection, buffer.baseAddress! + sent, buffer.count - sent, 0)
        #endif
        guard count > 0 else { return }
        sent += count
      }
    }
    shutdown(connection, Int32(SHUT_WR))
  }
}
