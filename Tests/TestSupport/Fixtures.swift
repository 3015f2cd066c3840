import Foundation

/// The recorded parity cases in `Tests/Fixtures`.
public enum Fixtures {
  public static let folder = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Fixtures").path

  /// The names of all cases.
  public static let names: [String] =
    (try? contents(of: folder))?.filter { FileManager.default.fileExists(atPath: "\(path(of: $0))/config.json") } ?? []

  /// The names of the cases about text.
  public static let textNames: [String] =
    (try? contents(of: folder))?.filter { FileManager.default.fileExists(atPath: "\(path(of: $0))/cases.json") } ?? []

  public static func path(of name: String) -> String { "\(folder)/\(name)" }

  /// Runs a test with a copy of a case that it may damage.
  ///
  /// - Parameter copy: the copy's name, whose part before the first dot says its kind.
  public static func withCopy(
    of name: String, named copy: String? = nil, _ body: (_ folder: String) throws -> Void
  ) throws {
    try withTemporaryFolder { temporary in
      let folder = "\(temporary)/\(copy ?? name)"
      try FileManager.default.copyItem(atPath: path(of: name), toPath: folder)
      try body(folder)
    }
  }
}
