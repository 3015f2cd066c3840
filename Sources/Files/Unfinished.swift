import Foundation

/// What is being made and would be left half-done if the process ended now, with how to take it away.
public enum Unfinished {
  private final class Undos: @unchecked Sendable {  // Its state is behind the lock.
    let lock = NSLock()
    var next = 0
    var undos: [Int: @Sendable () -> Void] = [:]
  }

  private static let undos = Undos()

  /// Something begins that `undo` takes away.
  ///
  /// - Returns: a number for `end(_:)`.
  public static func begin(_ undo: @escaping @Sendable () -> Void) -> Int {
    undos.lock.withLock {
      undos.next += 1
      undos.undos[undos.next] = undo
      return undos.next
    }
  }

  /// It is complete, or was taken away.
  public static func end(_ number: Int) { undos.lock.withLock { undos.undos[number] = nil } }

  /// Takes all away, for a process that ends at once: whatever begins or ends after this waits for that.
  public static func undoAll() {
    undos.lock.lock()
    for undo in undos.undos.values { undo() }
  }
}
