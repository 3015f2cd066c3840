import Foundation

/// What a process left behind when it ended.
public struct CommandOutput: Sendable {
  /// The exit status, or the negative number of the signal that ended it.
  public let status: Int32
  public let output: String
  public let error: String
}

/// A process that did not do in time what it was waited for.
public struct CommandTimeout: Error, CustomStringConvertible {
  public let description: String
}

/// A process that runs, with its standard output and standard error kept in files.
public final class Command: @unchecked Sendable {
  private let process = Process()
  private let folder: String
  /// Whether it holds no place any more.
  private var isDone: Bool
  /// Until all that was shown on the terminal is in its file.
  private let reading = DispatchGroup()

  /// Runs a process to its end.
  ///
  /// - Parameter onTerminal: whether standard error is a terminal, 80 columns wide.
  public static func run(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:], onTerminal: Bool = false,
    timeout: Duration = .seconds(60)
  ) async throws -> CommandOutput {
    try await start(executable, arguments, environment: environment, onTerminal: onTerminal).end(timeout: timeout)
  }

  /// Starts a process, when few enough others run: many at a time would only make each slow.
  ///
  /// - Parameter mostlyWaits: whether it counts for nothing there: a server works when another process asks it, which
  ///   must not have to wait for its end.
  public static func start(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:], onTerminal: Bool = false,
    mostlyWaits: Bool = false
  ) async throws -> Command {
    if !mostlyWaits { await gate.enter() }
    do {
      return try Command(executable, arguments, environment, onTerminal: onTerminal, holdsPlace: !mostlyWaits)
    } catch {
      if !mostlyWaits { await gate.leave() }
      throw error
    }
  }

  private init(
    _ executable: String, _ arguments: [String], _ environment: [String: String], onTerminal: Bool, holdsPlace: Bool
  ) throws {
    isDone = !holdsPlace
    folder = try Scratch.folder()
    func file(_ name: String) throws -> FileHandle {
      try Data().write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
      return try FileHandle(forWritingTo: URL(fileURLWithPath: "\(folder)/\(name)"))
    }
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try file("output")
    guard onTerminal else {
      process.standardError = try file("error")
      try process.run()
      return
    }
    let terminal = try Self.openTerminal()
    process.standardError = terminal.process
    try process.run()
    try terminal.process.close()
    let (shown, reading) = (try file("error"), reading)
    DispatchQueue.global().async(group: reading) {
      // As it comes: FileHandle waits for more, and forgets what it has when reading fails, as it does once the process
      // has ended.
      var bytes = [UInt8](repeating: 0, count: 1 << 12)
      while case let count = read(terminal.screen.fileDescriptor, &bytes, bytes.count), count > 0 {
        shown.write(Data(bytes[..<count]))
      }
    }
  }

  /// Both ends of a new terminal.
  private static func openTerminal() throws -> (screen: FileHandle, process: FileHandle) {
    var (screen, process): (Int32, Int32) = (-1, -1)
    guard openpty(&screen, &process, nil, nil, nil) == 0 else {
      throw CommandTimeout(description: "no terminal can be had")
    }
    // The process would keep its own screen open.
    _ = fcntl(screen, F_SETFD, FD_CLOEXEC)
    return (
      FileHandle(fileDescriptor: screen, closeOnDealloc: true),
      FileHandle(fileDescriptor: process, closeOnDealloc: true)
    )
  }

  public var identifier: Int32 { process.processIdentifier }

  /// What it has printed so far.
  public var output: String { (try? String(contentsOfFile: "\(folder)/output", encoding: .utf8)) ?? "" }

  /// Whether the system tells how much memory a process has.
  public static var tellsMemory: Bool { FileManager.default.fileExists(atPath: "/proc/self/status") }

  /// How much memory it has, where ``tellsMemory`` says that it can be known.
  public func residentBytes() throws -> Int {
    let status = try String(contentsOfFile: "/proc/\(identifier)/status", encoding: .utf8)
    guard let kilobytes = status.firstMatch(of: #/VmRSS:\s*(\d+) kB/#).flatMap({ Int($0.output.1) }) else {
      throw CommandTimeout(description: "process \(identifier) has no memory: \(status)")
    }
    return kilobytes << 10
  }

  public func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

  /// Waits until a condition holds; a process that ends before, or takes too long, is an error.
  public func wait(timeout: Duration = .seconds(60), until condition: () throws -> Bool) async throws {
    let deadline = ContinuousClock.now + timeout
    while try !condition() {
      guard process.isRunning else { throw CommandTimeout(description: "the process ended: \(try await end().error)") }
      guard ContinuousClock.now < deadline else { throw try await killed(after: timeout) }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// Waits until the process ends by itself; one that takes too long is killed.
  public func end(timeout: Duration = .seconds(60)) async throws -> CommandOutput {
    let deadline = ContinuousClock.now + timeout
    while process.isRunning {
      guard ContinuousClock.now < deadline else { throw try await killed(after: timeout) }
      try await Task.sleep(for: .milliseconds(5))
    }
    if !isDone { await Self.gate.leave() }
    isDone = true
    await withCheckedContinuation { done in reading.notify(queue: .global()) { done.resume() } }
    return CommandOutput(
      status: process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus,
      output: try String(contentsOfFile: "\(folder)/output", encoding: .utf8),
      error: try String(contentsOfFile: "\(folder)/error", encoding: .utf8))
  }

  private func killed(after timeout: Duration) async throws -> CommandTimeout {
    send(SIGKILL)
    process.waitUntilExit()
    return CommandTimeout(description: "killed after \(timeout): \(try await end().error)")
  }

  private static let gate = Gate(places: max(2, ProcessInfo.processInfo.activeProcessorCount))
}

/// Lets so many in at a time, in the order in which they came.
private actor Gate {
  private var places: Int
  private var waiting: [CheckedContinuation<Void, Never>] = []

  init(places: Int) { self.places = places }

  func enter() async {
    if places > 0 {
      places -= 1
    } else {
      await withCheckedContinuation { waiting.append($0) }
    }
  }

  func leave() {
    if waiting.isEmpty {
      places += 1
    } else {
      waiting.removeFirst().resume()
    }
  }
}
