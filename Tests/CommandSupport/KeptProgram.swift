import Foundation
import Synchronization

/// A program that waits right before its `main`, with its libraries loaded, and goes on from there in a new process for each
/// command: the program as users have it, without the fifth of a second that libtorch takes to be loaded.
public final class KeptProgram: Sendable {
  private let path: String
  private let environment: [String: String]
  private let pipes: Mutex<(requests: FileHandle, answers: FileHandle)>

  /// - Parameters:
  ///   - path: of a program in Swift.
  ///   - environment: what its libraries read when they are loaded. Commands may have another.
  /// - Returns: nil where it can't be done: without glibc, without a C compiler, or of a program that holds Swift's library.
  public init?(_ path: String, environment: [String: String]) {
    #if canImport(Glibc)
      guard let library = try? Self.compile() else { return nil }
      let process = Process()
      let (requests, answers) = (Pipe(), Pipe())
      process.executableURL = URL(fileURLWithPath: path)
      process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        .merging(["LD_PRELOAD": library]) { $1 }
      (process.standardInput, process.standardOutput) = (requests, answers)
      do { try process.run() } catch { return nil }
      (self.path, self.environment) = (path, environment)
      pipes = Mutex((requests.fileHandleForWriting, answers.fileHandleForReading))
      guard (try? answer(answers.fileHandleForReading)) != nil else { return nil }
    #else
      return nil
    #endif
  }

  private static func compile() throws -> String? {
    let library = "\(try Scratch.folder())/kept.so"
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("kept.c").path
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    compiler.arguments = ["clang", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]
    compiler.standardError = FileHandle.nullDevice
    try compiler.run()
    compiler.waitUntilExit()
    return compiler.terminationStatus == 0 ? library : nil
  }

  /// Whether a command is of this program, and its libraries would be loaded as they are.
  func fits(_ program: String, _ environment: [String: String]) -> Bool {
    func read(_ environment: [String: String]) -> [String: String] {
      environment.filter { name, _ in ["LD_", "OMP_", "MKL_"].contains { name.hasPrefix($0) } }
    }
    return program == path && read(environment) == read(self.environment)
  }

  /// Starts a command, with files for what it prints and for its status, as `waitpid` tells it, once it has ended.
  func start(
    _ arguments: [String], environment: [String: String], output: String, error: String, status: String
  ) throws -> pid_t {
    let all = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let words = [output, error, status, "\(arguments.count + 1)", path] + arguments + all.map { "\($0)=\($1)" }
    let request = Data(words.flatMap { Array($0.utf8) + [0] })
    return try pipes.withLock { pipes in
      try pipes.requests.write(contentsOf: withUnsafeBytes(of: UInt32(request.count)) { Data($0) } + request)
      return try answer(pipes.answers)
    }
  }

  /// The number of a process.
  private func answer(_ answers: FileHandle) throws -> pid_t {
    let bytes = try answers.read(upToCount: MemoryLayout<pid_t>.size) ?? Data()
    guard bytes.count == MemoryLayout<pid_t>.size else {
      throw CommandTimeout(description: "\(path) could not be gone on with")
    }
    return bytes.withUnsafeBytes { $0.loadUnaligned(as: pid_t.self) }
  }
}
