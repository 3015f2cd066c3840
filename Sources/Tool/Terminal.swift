import Files
import Foundation

/// What standard error is connected to, and how to write there.
package enum Terminal {
  package static var isInteractive: Bool {
    isatty(STDERR_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
  }

  /// Columns of the terminal, 80 where it does not say.
  package static var width: Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// Where messages cannot be written, work goes on without them.
  package static func write(_ text: String) { try? FileWriter.standardError.write(Data(text.utf8)) }
}
