import Files
import Foundation
import Synchronization

/// What keeps a run to one process: two that train it would delete each other's checkpoints. Reading needs none.
///
/// It is a lock of the system on the file `lock` of the run's folder, which says who has it. It goes with the process,
/// however that ends, or before, when nothing holds on to it any more. Inside one process it is shared.
final class RunLock: Sendable {
  static let fileName = "lock"

  private let file: LockedFile

  private init(_ file: LockedFile) { self.file = file }

  /// - Throws: a `FileError` that says who trains the run, if another process does.
  static func take(_ run: String) throws -> RunLock {
    try known.withLock { known in
      let path = "\(run)/\(fileName)"
      if let lock = known[path]?.lock, lock.file.isStillThere { return lock }
      guard let file = try LockedFile(path) else { throw heldElsewhere(run) }
      try file.write(try encoder.encode(Holder()) + Data("\n".utf8))
      let lock = RunLock(file)
      known[path] = Weak(lock: lock)
      return lock
    }
  }

  /// Throws what `take(_:)` would if another process trains a run; nothing is made.
  static func requireFree(_ run: String) throws {
    try known.withLock { known in
      let path = "\(run)/\(fileName)"
      if known[path]?.lock == nil, LockedFile.isHeld(path) { throw heldElsewhere(run) }
    }
  }

  // MARK: Who has it

  private struct Holder: Codable {
    var process = ProcessInfo.processInfo.processIdentifier
    var host = hostName
    var since = Date()
  }

  private static let encoder = {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    encoder.dateEncodingStrategy = .iso8601
    return encoder
  }()

  private static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "unknown host" }
    return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  private static func heldElsewhere(_ run: String) -> FileError {
    // One that has just locked it has still to say who it is.
    Thread.sleep(forTimeInterval: 0.05)
    let holder = try? JSONFile.decode(Holder.self, from: MappedFile.read("\(run)/\(fileName)"), dates: .iso8601)
    let who =
      holder.map { "process \($0.process) on \($0.host) since \($0.since.ISO8601Format())" } ?? "another process"
    return FileError("\(run) is being trained by \(who); wait until it ends, or stop it")
  }

  // MARK: Inside this process

  private struct Weak { weak var lock: RunLock? }

  private static let known = Mutex<[String: Weak]>([:])
}
