import Foundation

/// The system's lock on an open file or folder (flock): one process at a time has it, and it goes with the process,
/// however that ends.
enum FileLock {
  enum Outcome {
    case taken
    /// Somebody else has it.
    case held
    /// The file system knows no locks.
    case unavailable
  }

  static func take(_ descriptor: Int32) -> Outcome {
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      if errno == EWOULDBLOCK { return .held }
      if errno != EINTR { return .unavailable }
    }
    return .taken
  }

  /// Whether a path still names what was opened, itself or by a link: it may have been taken away before it was locked.
  static func isOpen(_ descriptor: Int32, at path: String) -> Bool {
    var (opened, found) = (stat(), stat())
    return fstat(descriptor, &opened) == 0 && stat(path, &found) == 0
      && (opened.st_dev, opened.st_ino) == (found.st_dev, found.st_ino)
  }
}

/// A file that is there to be locked, and says who did. It is locked for as long as it is held on to, at most until the
/// process ends. Where the file system knows no locks it is as if nobody else were there.
public final class LockedFile: Sendable {
  private let path: String
  private let descriptor: Int32

  /// Locks a file, which is made if it is missing.
  ///
  /// - Returns: nil if somebody else has it.
  public init?(_ path: String) throws {
    while true {
      let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else { throw FileError.system("write", path) }
      let outcome = FileLock.take(descriptor)
      if outcome != .held, FileLock.isOpen(descriptor, at: path) {
        self.path = path
        self.descriptor = descriptor
        return
      }
      close(descriptor)
      if outcome == .held { return nil }
    }
  }

  deinit { close(descriptor) }

  /// Whether the path still names the file that was locked.
  public var isStillThere: Bool { FileLock.isOpen(descriptor, at: path) }

  /// Replaces what the file says.
  public func write(_ data: Data) throws {
    guard ftruncate(descriptor, 0) == 0 else { throw FileError.system("write", path) }
    try FileWriter(descriptor: descriptor, path: path).overwrite(data, at: 0)
  }

  /// Whether somebody else has a file locked.
  public static func isHeld(_ path: String) -> Bool {
    let descriptor = open(path, O_RDWR | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return FileLock.take(descriptor) == .held
  }
}
