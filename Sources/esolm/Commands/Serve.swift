import ArgumentParser
import Files
import Foundation
import Tool

/// Becomes the server, which is a program of its own beside this one.
struct Serve: ParsableCommand {
  static let configuration = ServeOptions.configuration(commandName: "serve")

  @OptionGroup var options: ServeOptions

  func run() throws {
    let tool = Bundle.main.executableURL!.resolvingSymlinksInPath()
    let server = tool.deletingLastPathComponent().appendingPathComponent("esolm-serve").path
    let words = [server] + CommandLine.arguments.dropFirst(2)
    let arguments = words.map { strdup($0) } + [nil]
    Interrupt.shared.unwatch()
    execv(server, arguments)
    let reason =
      errno == ENOENT ? "is not there: make server builds it" : "cannot be run: \(String(cString: strerror(errno)))"
    throw FileError("the server is a program of its own, and \(server) \(reason)")
  }
}
