import Foundation

/// Folders for tests, all inside one that is deleted when the process ends.
public enum Scratch {
  private static let root: String = {
    let path = NSTemporaryDirectory() + "/esolm-tests-\(UUID().uuidString)"
    try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    atexit { try? FileManager.default.removeItem(atPath: Scratch.root) }
    return URL(fileURLWithPath: path).standardizedFileURL.path
  }()

  /// A new, empty folder.
  public static func folder() throws -> String {
    let path = "\(root)/\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    return path
  }

  /// A new file with the given contents.
  public static func file(_ contents: some Sequence<UInt8>, name: String = "text.txt") throws -> String {
    let path = "\(try folder())/\(name)"
    try Data(contents).write(to: URL(fileURLWithPath: path))
    return path
  }

  /// A copy of a file or folder; links stay links.
  public static func copy(of path: String) throws -> String {
    let copy = "\(try folder())/\(URL(fileURLWithPath: path).lastPathComponent)"
    try FileManager.default.copyItem(atPath: path, toPath: copy)
    return copy
  }

  /// What lies in a folder and below: each file's bytes, each link's destination, by path.
  public static func snapshot(_ path: String) throws -> [String: Data] {
    var result: [String: Data] = [:]
    // A run's lock is no content: whoever asks for it leaves it there.
    for name in try FileManager.default.subpathsOfDirectory(atPath: path) where name != "lock" {
      let item = "\(path)/\(name)"
      if let destination = try? FileManager.default.destinationOfSymbolicLink(atPath: item) {
        result[name] = Data(destination.utf8)
      } else {
        result[name] = (try? Data(contentsOf: URL(fileURLWithPath: item))) ?? Data()
      }
    }
    return result
  }
}
