import Foundation

/// Folders: made, renamed and taken away again, with the system's reason where that fails.
public enum Folder {
  /// The folder that holds what a path names, "." for a name alone, and that name.
  ///
  /// Foundation's own way to them traps for a relative path of one letter.
  public static func split(_ path: String) -> (folder: String, name: String) {
    let slash = UInt8(ascii: "/")
    let bytes = Array(path.utf8)
    let end = bytes.lastIndex { $0 != slash }.map { $0 + 1 } ?? min(1, bytes.count)
    guard let cut = bytes[..<end].lastIndex(of: slash) else {
      return (".", String(decoding: bytes[..<end], as: UTF8.self))
    }
    let folder = bytes[..<cut].lastIndex { $0 != slash }.map { bytes[...$0] } ?? [slash]
    return (String(decoding: folder, as: UTF8.self), String(decoding: bytes[(cut + 1)..<end], as: UTF8.self))
  }

  /// Makes a folder, and those above it that are missing.
  ///
  /// - Returns: the folders that were made, the outermost first, for `removeEmpty(_:)`.
  @discardableResult
  public static func make(_ path: String) throws -> [String] {
    var missing: [String] = []
    var place = path
    while !place.isEmpty, !FileManager.default.fileExists(atPath: place) {
      missing.append(place)
      place = split(place).folder
    }
    guard !missing.isEmpty || exists(path) else {
      throw FileError.system("make the folder", path, code: path.isEmpty ? ENOENT : EEXIST)
    }
    var made: [String] = []
    for folder in missing.reversed() {
      if mkdir(folder, 0o777) == 0 {
        made.append(folder)
        continue
      }
      let code = errno
      // Another process may have made it meanwhile.
      guard code == EEXIST, exists(folder) else {
        removeEmpty(made)
        throw FileError.system("make the folder", path, code: code)
      }
    }
    return made
  }

  /// Removes folders, the last one first, as far as they are empty.
  public static func removeEmpty(_ paths: [String]) {
    for path in paths.reversed() { rmdir(path) }
  }

  /// Renames a folder in one step, and waits until its new name is on the disk.
  public static func rename(_ path: String, to destination: String) throws {
    guard Foundation.rename(path, destination) == 0 else { throw FileError.system("write", destination) }
    try AtomicFile.synchronizeFolder(of: destination)
  }

  /// Whether there is a folder at `path`.
  public static func exists(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }

  /// Whether there is a file with contents, and no folder, pipe or device, whose end may never come.
  public static func isRegularFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }
}
