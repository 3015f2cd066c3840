import Foundation
import Synchronization

/// What is being made and would be left half-done if the process ended now, with how to take it away.
public enum Unfinished {
  private struct Undos {
    var last = 0
    var byNumber: [Int: @Sendable () -> Void] = [:]
  }

  private static let undos = Mutex(Undos())

  /// Something begins that `undo` takes away.
  ///
  /// - Returns: a number for `end(_:)`.
  public static func begin(_ undo: @escaping @Sendable () -> Void) -> Int {
    begin(undo: undo) { () }!.number
  }

  /// Something begins that `undo` takes away, unless `make` gives nil. An interruption waits until it has been made.
  static func begin<Made>(
    undo: @escaping @Sendable () -> Void, _ make: () throws -> Made?
  ) rethrows -> (made: Made, number: Int)? {
    try undos.withLock { undos in
      guard let made = try make() else { return nil }
      undos.last += 1
      undos.byNumber[undos.last] = undo
      return (made, undos.last)
    }
  }

  /// It is complete, or was taken away.
  public static func end(_ number: Int) { undos.withLock { $0.byNumber[number] = nil } }

  /// Takes all away and ends the process at once: whatever begins or ends meanwhile waits for that.
  public static func undoAllAndExit(_ status: Int32) -> Never {
    undos.withLock { undos in
      for undo in undos.byNumber.values { undo() }
      _exit(status)
    }
  }
}
