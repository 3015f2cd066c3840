import Foundation

/// Folders: made, renamed and taken away again, with the system's reason where that fails.
public enum Folder {
  /// Makes a folder, and those above it that are missing.
  ///
  /// - Returns: the folders that were made, the outermost first, for `removeEmpty(_:)`.
  @discardableResult
  public static func make(_ path: String) throws -> [String] {
    var missing: [String] = []
    var place = path
    while !place.isEmpty, !FileManager.default.fileExists(atPath: place) {
      missing.append(place)
      place = containing(place)
    }
    guard !missing.isEmpty || exists(path) else {
      throw FileError.system("make the folder", path, code: path.isEmpty ? ENOENT : EEXIST)
    }
    var made: [String] = []
    for folder in missing.reversed() {
      guard mkdir(folder, 0o777) == 0 else {
        let error = FileError.system("make the folder", path)
        removeEmpty(made)
        throw error
      }
      made.append(folder)
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

  /// The folder that a path's last part lies in, "." for a path of one part. (Foundation's own function ends the process
  /// for a path of one letter.)
  public static func containing(_ path: String) -> String {
    let slash = UInt8(ascii: "/")
    func trimmed(_ part: Substring.UTF8View) -> Substring.UTF8View {
      var part = part
      while part.last == slash { part.removeLast() }
      return part
    }
    let whole = trimmed(path[...].utf8)
    guard let last = whole.lastIndex(of: slash) else { return whole.isEmpty && !path.isEmpty ? "/" : "." }
    let folder = String(Substring(trimmed(whole[..<last])))
    return folder.isEmpty ? "/" : folder
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
