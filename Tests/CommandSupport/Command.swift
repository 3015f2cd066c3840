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
  /// A process of our own, or one in which a kept program went on, which leaves its status in a file.
  private enum Running {
    case own(Process)
    case kept(pid_t, status: String)

    var identifier: pid_t {
      switch self {
      case .own(let process): process.processIdentifier
      case .kept(let identifier, _): identifier
      }
    }

    /// As ``CommandOutput/status``; nil while it runs.
    var status: Int32? {
      switch self {
      case .own(let process):
        if process.isRunning { return nil }
        return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
      case .kept(_, let file):
        let text = try? String(contentsOfFile: file, encoding: .utf8)
        guard let status = text.flatMap({ Int32($0) }) else { return nil }
        return status & 0x7F == 0 ? status >> 8 : -(status & 0x7F)
      }
    }
  }

  private let process: Running
  private let folder: String
  /// Whether it holds no place any more.
  private var isDone: Bool
  /// Until all that was shown on the terminal is in its file.
  private let reading = DispatchGroup()

  /// Runs a process to its end.
  ///
  /// - Parameters:
  ///   - kept: the program to go on with, where it fits; nil to load it.
  ///   - onTerminal: whether standard error is a terminal, 80 columns wide.
  public static func run(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:], kept: KeptProgram? = nil,
    onTerminal: Bool = false, timeout: Duration = .seconds(60)
  ) async throws -> CommandOutput {
    try await start(executable, arguments, environment: environment, kept: kept, onTerminal: onTerminal)
      .end(timeout: timeout)
  }

  /// Starts a process, when few enough others run: many at a time would only make each slow.
  ///
  /// - Parameter mostlyWaits: whether it counts for nothing there: a server works when another process asks it, which
  ///   must not have to wait for its end.
  public static func start(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:], kept: KeptProgram? = nil,
    onTerminal: Bool = false, mostlyWaits: Bool = false
  ) async throws -> Command {
    if !mostlyWaits { await gate.enter() }
    do {
      let kept = kept?.fits(executable, environment) == true ? kept : nil
      return try Command(
        executable, arguments, environment, kept: kept, onTerminal: onTerminal, holdsPlace: !mostlyWaits)
    } catch {
      if !mostlyWaits { await gate.leave() }
      throw error
    }
  }

  private init(
    _ executable: String, _ arguments: [String], _ environment: [String: String], kept: KeptProgram?, onTerminal: Bool,
    holdsPlace: Bool
  ) throws {
    isDone = !holdsPlace
    let folder = try Scratch.folder()
    self.folder = folder
    let (output, error) = (folder + "/output", folder + "/error")
    for file in [output, error] { try Data().write(to: URL(fileURLWithPath: file)) }
    let terminal = onTerminal ? try Self.openTerminal() : nil
    if let kept {
      let status = folder + "/status"
      process = .kept(
        try kept.start(
          arguments, environment: environment, output: output, error: terminal?.name ?? error, status: status),
        status: status)
    } else {
      let own = Process()
      own.executableURL = URL(fileURLWithPath: executable)
      own.arguments = arguments
      own.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
      own.standardInput = FileHandle.nullDevice
      own.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
      own.standardError = try terminal?.process ?? FileHandle(forWritingTo: URL(fileURLWithPath: error))
      try own.run()
      process = .own(own)
    }
    guard let terminal else { return }
    try terminal.process.close()
    let (shown, reading) = (try FileHandle(forWritingTo: URL(fileURLWithPath: error)), reading)
    DispatchQueue.global().async(group: reading) {
      // As it comes: FileHandle waits for more, and forgets what it has when reading fails, as it does once the process
      // has ended.
      var bytes = [UInt8](repeating: 0, count: 1 << 12)
      while case let count = read(terminal.screen.fileDescriptor, &bytes, bytes.count), count > 0 {
        shown.write(Data(bytes[..<count]))
      }
    }
  }

  /// Both ends of a new terminal, and the path of the process's.
  private static func openTerminal() throws -> (screen: FileHandle, process: FileHandle, name: String) {
    var (screen, process): (Int32, Int32) = (-1, -1)
    guard openpty(&screen, &process, nil, nil, nil) == 0, let name = ttyname(process) else {
      throw CommandTimeout(description: "no terminal can be had")
    }
    // The process would keep its own screen open.
    _ = fcntl(screen, F_SETFD, FD_CLOEXEC)
    return (
      FileHandle(fileDescriptor: screen, closeOnDealloc: true),
      FileHandle(fileDescriptor: process, closeOnDealloc: true),
      String(cString: name)
    )
  }

  public var identifier: Int32 { process.identifier }

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

  public func send(_ signal: Int32) { kill(identifier, signal) }

  /// Sends a signal as soon as a condition holds, even while all threads of tests are busy. A process that ends before, or
  /// takes too long, is an error.
  public func send(
    _ signal: Int32, timeout: Duration = .seconds(60), when condition: @escaping @Sendable () throws -> Bool
  ) async throws {
    let isSent: Bool = try await withCheckedThrowingContinuation { done in
      Thread.detachNewThread { [self] in
        done.resume(
          with: Result {
            let deadline = ContinuousClock.now + timeout
            while try !condition() {
              guard ContinuousClock.now < deadline, process.status == nil else { return false }
              Thread.sleep(forTimeInterval: 0.002)
            }
            send(signal)
            return true
          })
      }
    }
    guard isSent else { throw try await killed(after: timeout) }
  }

  /// Waits until a condition holds; a process that ends before, or takes too long, is an error.
  public func wait(timeout: Duration = .seconds(60), until condition: () throws -> Bool) async throws {
    let deadline = ContinuousClock.now + timeout
    while try !condition() {
      guard process.status == nil else {
        throw CommandTimeout(description: "the process ended: \(try await end().error)")
      }
      guard ContinuousClock.now < deadline else { throw try await killed(after: timeout) }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// Waits until the process ends by itself; one that takes too long is killed.
  public func end(timeout: Duration = .seconds(60)) async throws -> CommandOutput {
    let deadline = ContinuousClock.now + timeout
    var status = process.status
    while status == nil {
      guard ContinuousClock.now < deadline else { throw try await killed(after: timeout) }
      try await Task.sleep(for: .milliseconds(5))
      status = process.status
    }
    if !isDone { await Self.gate.leave() }
    isDone = true
    await withCheckedContinuation { done in reading.notify(queue: .global()) { done.resume() } }
    return CommandOutput(
      status: status!, output: try String(contentsOfFile: "\(folder)/output", encoding: .utf8),
      error: try String(contentsOfFile: "\(folder)/error", encoding: .utf8))
  }

  private func killed(after timeout: Duration) async throws -> CommandTimeout {
    send(SIGKILL)
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
