import Files
import Foundation

/// The files of a folder and of those below it, links to folders included.
///
/// Each real folder is read once, however many links lead to it, so that links in a circle end. Folders that stand where
/// they are come before those behind links.
struct FolderListing {
  /// Paths of files, sorted.
  private(set) var files: [String] = []
  /// What is there and not read, with the reason.
  private(set) var passedOver: [(path: String, reason: String)] = []

  private var seen: Set<Place> = []
  private var links: [String] = []
  private let root: String

  /// What tells a real folder, however it is reached.
  private struct Place: Hashable {
    var device: dev_t
    var inode: ino_t
  }

  /// - Throws: `FileError` if a folder cannot be read.
  init(_ path: String) throws {
    root = path
    _ = try isNew(path)
    try add("")
    while !links.isEmpty {
      let next = links.sorted()
      links = []
      for name in next {
        if try isNew("\(root)/\(name)") {
          try add("\(name)/")
        } else {
          passedOver.append(("\(root)/\(name)", "link to a folder that was read already"))
        }
      }
    }
    files = files.sorted().map { "\(root)/\($0)" }
  }

  /// - Parameter prefix: the folder's name below the root, with a slash behind it.
  private mutating func add(_ prefix: String) throws {
    let folder = "\(root)/\(prefix)"
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: folder)
    } catch {
      throw FileError("cannot read the folder \(folder): permission denied")
    }
    for name in names.sorted() {
      let (path, place) = ("\(folder)\(name)", "\(prefix)\(name)")
      var own = stat()
      guard !name.hasPrefix(".") else {
        passedOver.append((path, "hidden"))
        continue
      }
      if Folder.isRegularFile(path) {
        files.append(place)
      } else if !Folder.exists(path) {
        passedOver.append((path, Self.reason(path)))
      } else if lstat(path, &own) == 0, own.st_mode & S_IFMT == S_IFLNK {
        links.append(place)
      } else if try isNew(path) {
        try add("\(place)/")
      }
    }
  }

  /// Why what is neither a file nor a folder is not read.
  private static func reason(_ path: String) -> String {
    var (own, meant) = (stat(), stat())
    // Text that stands for a name which is not UTF-8 leads nowhere.
    guard lstat(path, &own) == 0 else { return "name that is not UTF-8" }
    return stat(path, &meant) == 0 ? "neither a file nor a folder" : "link that leads nowhere"
  }

  private mutating func isNew(_ folder: String) throws -> Bool {
    var status = stat()
    guard stat(folder, &status) == 0 else { throw FileError("cannot read the folder \(folder)") }
    return seen.insert(Place(device: status.st_dev, inode: status.st_ino)).inserted
  }
}
