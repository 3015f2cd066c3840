import ArgumentParser
import Files
import Foundation
import Torch

extension ParsableCommand {
  /// Errors are one line on standard error: exit code 2 for a wrong command line, 1 for everything else.
  package static func runAsTool() {
    // A closed pipe or a file too large is an error of a write, not the end of the process. What was closed at the start stays closed to
    // writing, or a file that is opened would get the number of standard output, and the output too.
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    var descriptor: Int32
    repeat { descriptor = open("/dev/null", O_RDONLY) } while (0...STDERR_FILENO).contains(descriptor)
    close(descriptor)
    Interrupt.shared.watch()
    Torch.onMemoryExhaustion { message in
      let reason = message.components(separatedBy: "DefaultCPUAllocator: ").last!
      printError("esolm: error: not enough memory for a network, batch or length of this size: \(reason)")
      end(status: 1)
    }
    do {
      try parseAndRun()
      Interrupt.shared.endUnlessInterrupted()
      end(status: 0)
    } catch {
      Interrupt.shared.endUnlessInterrupted()
      // The status that a pipe's writer ends with when nobody reads.
      if error is ClosedOutput { end(status: 128 + SIGPIPE) }
      let code = exitCode(for: error)
      let isUsage = code == .validationFailure
      let message = code == .failure || isUsage ? Self.message(for: error) : ""
      // Of processes that share a training all find the same mistakes in what was typed: the first one tells. The others
      // wait a moment, since mpirun ends all with the one that ends first.
      let ranks = ["OMPI_COMM_WORLD_RANK", "SLURM_PROCID"].compactMap { ProcessInfo.processInfo.environment[$0] }
      let isTold = !isUsage || ranks.allSatisfy { $0 == "0" }
      if isTold, !message.isEmpty {
        let hint = isUsage ? " (see \(helpCommand()) --help)" : ""
        printError("esolm: error: \(message.split(separator: "\n").joined(separator: " "))\(hint)")
      }
      if !isTold { Thread.sleep(forTimeInterval: 1) }
      end(status: isUsage ? 2 : code.rawValue)
    }
  }

  /// Ends the process without taking libtorch's tables of operators apart, which is a third of the time that a short command has.
  private static func end(status: Int32) -> Never {
    fflush(nil)
    _exit(status)
  }

  private static func parseAndRun() throws {
    do {
      try requireText()
      var command = try parseAsRoot()
      try command.run()
    } catch {
      guard exitCode(for: error) == .success else { throw error }
      try printOutput(fullMessage(for: error))  // --help and --version
    }
  }

  /// Bytes that are no text would be replaced: a prompt or a path would silently be another one.
  private static func requireText() throws {
    for place in CommandLine.arguments.indices.dropFirst() {
      guard let argument = CommandLine.unsafeArgv[place], String(validatingCString: argument) == nil else { continue }
      throw ValidationError("argument \(place), '\(String(cString: argument))', is no valid UTF-8 text")
    }
  }

  private static func helpCommand() -> String {
    var words = [configuration.commandName!]
    var subcommands = configuration.subcommands
    for argument in CommandLine.arguments.dropFirst() {
      guard let command = subcommands.first(where: { $0.configuration.commandName == argument }) else { break }
      words.append(argument)
      subcommands = command.configuration.subcommands
    }
    return words.joined(separator: " ")
  }
}

/// Prints a line on standard error.
package func printError(_ line: String) { Terminal.write(line + "\n") }

/// Prints a line on standard output.
package func printOutput(_ line: String, terminator: String = "\n") throws {
  try FileWriter.standardOutput.write(Data((line + terminator).utf8))
}

/// Prints a value as JSON on standard output.
package func printJSON(_ value: some Encodable, onOneLine: Bool = false) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  if !onOneLine { encoder.outputFormatting.insert(.prettyPrinted) }
  encoder.nonConformingFloatEncodingStrategy = .convertToString(
    positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
  try printOutput(String(decoding: try encoder.encode(value), as: UTF8.self))
}
