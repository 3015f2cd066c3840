import Foundation

/// The Python that `scripts/clients.sh` makes, with the programs of other people that tests talk to.
public enum PythonClients {
  /// Its interpreter; nil where the script has not run, or pip could not have the programs.
  public static let python: String? = {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let path = "\(tests.deletingLastPathComponent().path)/.build/clients/bin/python"
    return FileManager.default.isExecutableFile(atPath: path) ? path : nil
  }()
}
