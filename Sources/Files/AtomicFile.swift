import Foundation

/// What went wrong with a file, in one line.
public struct FileError: Error, CustomStringConvertible, Sendable {
  /// One line, whatever names and contents of files it quotes.
  public let description: String

  /// An error by its message, which names the file.
  public init(_ description: String) {
    let isPlain = description.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
    self.description =
      isPlain
      ? description
      : String(
        String.UnicodeScalarView(
          description.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
  }

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
  /// What is there and no file, such as a device, is never replaced.
  public static func write(to path: String, _ body: (FileWriter) throws -> Void) throws {
    guard Folder.isRegularFile(path) || Folder.exists(path) || !FileManager.default.fileExists(atPath: path) else {
      throw FileError("cannot write \(path): it is a device or a pipe, expected a file's name")
    }
    let temporary = try Temporary.file(for: path)
    do {
      try body(FileWriter(descriptor: temporary.descriptor, path: path))
      guard fsync(temporary.descriptor) == 0 else { throw FileError.system("write", path) }
      guard rename(temporary.path, path) == 0 else { throw FileError.system("write", path) }
    } catch {
      temporary.discard()
      throw error
    }
    temporary.finish()
    try synchronizeFolder(of: path)
  }

  /// Writes `data` as `write(to:_:)` does.
  public static func write(_ data: Data, to path: String) throws {
    try write(to: path) { writer in try data.withUnsafeBytes { try writer.write($0) } }
  }

  /// Makes a symbolic link, or turns an existing one to another place, in one step.
  public static func link(_ path: String, to destination: String) throws {
    for temporary in Temporary.names(for: path) {
      guard symlink(destination, temporary) == 0 else {
        if errno == EEXIST { continue }
        throw FileError.system("write", path)
      }
      if rename(temporary, path) == 0 { break }
      let error = FileError.system("write", path)
      // Where another process took it for a leftover there is nothing to unlink, and it is made again.
      if unlink(temporary) == 0 { throw error }
    }
    try synchronizeFolder(of: path)
  }

  /// Waits until the names in the folder that holds `path` are on the disk: a rename is only kept with its folder.
  static func synchronizeFolder(of path: String) throws {
    let folder = Folder.split(path).folder
    let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError.system("open", folder) }
    fsync(descriptor)
    close(descriptor)
  }
}
