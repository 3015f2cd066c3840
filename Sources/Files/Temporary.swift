import Foundation

/// A file or folder under a name of its own, beside the one that it is to become.
///
/// Its maker keeps it locked. So of temporaries that lie in a folder those that nobody has locked were left by a process
/// that was killed, and whoever makes the next one there takes them away. If this process is interrupted its own go too.
public final class Temporary: Sendable {
  /// Where it is.
  public let path: String
  let descriptor: Int32
  private let unfinished: Int

  /// - Throws: a `FileError` about `destination`.
  static func file(for destination: String) throws -> Temporary {
    try Temporary(destination, "write") { open($0, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o644) }
  }

  static func folder(for destination: String) throws -> Temporary {
    try Temporary(destination, "make the folder") {
      mkdir($0, 0o777) == 0 ? open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1
    }
  }

  private init(_ destination: String, _ action: String, _ make: (String) -> Int32) throws {
    Self.removeLeftovers(in: Folder.split(destination).folder)
    for candidate in Self.names(for: destination) {
      let begun = try Unfinished.begin(undo: { Self.remove(candidate) }) { () -> Int32? in
        let descriptor = make(candidate)
        if descriptor < 0 && errno == EEXIST { return nil }
        guard descriptor >= 0 else { throw FileError.system(action, destination) }
        if FileLock.take(descriptor) != .held, FileLock.isOpen(descriptor, at: candidate) { return descriptor }
        // Another process took it for a leftover before it was locked.
        close(descriptor)
        return nil
      }
      guard let begun else { continue }
      path = candidate
      (descriptor, unfinished) = begun
      return
    }
    fatalError("names never run out")
  }

  deinit { close(descriptor) }

  /// It has become what it was to be, under its own name.
  func finish() { Unfinished.end(unfinished) }

  func discard() {
    Self.remove(path)
    Unfinished.end(unfinished)
  }

  // MARK: Names

  /// Names beside a path: which process made it can be seen, and that it is one of ours.
  static func names(for path: String) -> some Sequence<String> {
    let (folder, name) = Folder.split(path)
    let stem = ".\(name.prefix(40)).esolm-\(ProcessInfo.processInfo.processIdentifier)"
    return (0...).lazy.map { "\(folder)/\(stem)-\($0).tmp" }
  }

  /// Whether a name is that of a temporary file or folder.
  public static func isName(_ name: String) -> Bool { maker(name) != nil }

  /// The process that made what has such a name; nil for any other.
  private static func maker(_ name: String) -> Int32? {
    name.wholeMatch(of: #/\..+\.esolm-(\d{1,10})-\d+\.tmp/#).flatMap { Int32($0.1) }
  }

  // MARK: Leftovers

  /// Removes what processes that were killed left in a folder.
  ///
  /// - Parameters:
  ///   - folder: where they are looked for.
  ///   - isLocked: whether this process is the only one that may write there, so that whatever is there is left.
  public static func removeLeftovers(in folder: String, isLocked: Bool = false) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
      guard let maker = maker(name) else { continue }
      let path = "\(folder)/\(name)"
      if isLocked { remove(path) } else { removeUnlessHeld(path, by: maker) }
    }
  }

  private static func removeUnlessHeld(_ path: String, by maker: Int32) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    // A link cannot be locked. Its maker needs it for a moment, and makes it again if it is gone.
    guard status.st_mode & S_IFMT != S_IFLNK else {
      if kill(maker, 0) != 0 && errno == ESRCH { remove(path) }
      return
    }
    let isFolder = status.st_mode & S_IFMT == S_IFDIR
    let descriptor = open(path, (isFolder ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    // Locked while it is removed, so that who has just made it does not take it for its own.
    if FileLock.take(descriptor) == .taken { remove(path) }
    close(descriptor)
  }

  /// Removes what may be written to meanwhile, when the process is interrupted: a folder gets no more files once it is gone.
  private static func remove(_ path: String) {
    for _ in 0..<100 {
      try? FileManager.default.removeItem(atPath: path)
      var status = stat()
      if lstat(path, &status) != 0 { return }
    }
  }
}
