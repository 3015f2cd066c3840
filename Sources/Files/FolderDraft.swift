import Foundation

/// Folders that are either not there or complete.
public enum FolderDraft {
  /// Calls `body` with a folder beside `path` to fill, and renames it to `path` when it is complete and on the disk.
  ///
  /// If anything fails nothing is left.
  ///
  /// - Throws: an error if there is something at `path` already, other than an empty folder.
  public static func write(to path: String, _ body: (_ draft: String) throws -> Void) throws {
    let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    try requireFree(path)
    let made = try Folder.make(Folder.split(path).folder)
    do {
      let draft = try Temporary.folder(for: path)
      do {
        try body(draft.path)
        try AtomicFile.synchronizeFolder(of: "\(draft.path)/.")
        try Folder.rename(draft.path, to: path)
      } catch {
        draft.discard()
        throw error
      }
      draft.finish()
    } catch {
      Folder.removeEmpty(made)
      throw error
    }
  }

  /// Throws if there is something at `path`, other than an empty folder.
  public static func requireFree(_ path: String) throws {
    guard FileManager.default.fileExists(atPath: path) else { return }
    guard Folder.exists(path), (try? FileManager.default.contentsOfDirectory(atPath: path))?.isEmpty == true else {
      throw FileError("\(path) already exists; name a new folder")
    }
  }
}
