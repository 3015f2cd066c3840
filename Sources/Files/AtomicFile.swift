import Foundation

/// What went wrong with a file, in one line.
public struct FileError: Error, CustomStringConvertible, Sendable {
  public let description: String

  public init(_ description: String) { self.description = description }

  /// The system's reason for the call that just failed, or for the given error number.
  static func system(_ action: String, _ path: String, code: Int32 = errno) -> FileError {
    FileError("cannot \(action) \(path): \(String(cString: strerror(code)))")
  }
}

/// Files that are either as before or complete, whatever happens in between.
public enum AtomicFile {
  /// Writes a file under a temporary name beside `path`, waits until it is on the disk, and renames it to `path`.
  ///
  /// If anything fails, the temporary file is removed and an earlier file at `path` stays as it was.
  public static func write(to path: String, _ body: (FileWriter) throws -> Void) throws {
    let temporary = "\(path).\(ProcessInfo.processInfo.processIdentifier).tmp"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw FileError.system("write", path) }
    do {
      defer { close(descriptor) }
      try body(FileWriter(descriptor: descriptor, path: path))
      guard fsync(descriptor) == 0 else { throw FileError.system("write", path) }
      guard rename(temporary, path) == 0 else { throw FileError.system("write", path) }
    } catch {
      unlink(temporary)
      throw error
    }
    try synchronizeFolder(of: path)
  }

  /// Writes `data` as `write(to:_:)` does.
  public static func write(_ data: Data, to path: String) throws {
    try write(to: path) { writer in try data.withUnsafeBytes { try writer.write($0) } }
  }

  /// Makes a symbolic link, or turns an existing one to another place, in one step.
  public static func link(_ path: String, to destination: String) throws {
    let temporary = "\(path).\(ProcessInfo.processInfo.processIdentifier).tmp"
    unlink(temporary)
    guard symlink(destination, temporary) == 0 else { throw FileError.system("write", path) }
    guard rename(temporary, path) == 0 else {
      let error = FileError.system("write", path)
      unlink(temporary)
      throw error
    }
    try synchronizeFolder(of: path)
  }

  /// Waits until the names in the folder that holds `path` are on the disk: a rename is only kept with its folder.
  static func synchronizeFolder(of path: String) throws {
    let folder = Folder.containing(path)
    let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError.system("open", folder) }
    fsync(descriptor)
    close(descriptor)
  }
}
