import CTorch
import Synchronization

/// What libtorch, or a check made for it, has to say.
public struct TorchError: Error, CustomStringConvertible, Sendable {
  public let description: String

  /// An error with a message.
  public init(_ description: String) { self.description = description }
}

/// Throws libtorch's message if a call failed.
func check(_ status: CTStatus) throws {
  guard status != CTOK else { return }
  throw TorchError("libtorch: \(String(cString: ct_last_error()))")
}

/// Stops the program with libtorch's message: for operations that can fail only by the program's own fault, or where
/// memory runs out.
func must(_ status: CTStatus, file: StaticString = #fileID, line: UInt = #line) {
  guard status != CTOK else { return }
  let message = String(cString: ct_last_error())
  if status == CTOutOfMemory { MemoryExhaustion.handler?(message) }
  fatalError("libtorch: \(message)", file: file, line: line)
}

/// What happens where memory runs out.
enum MemoryExhaustion {
  private static let current = Mutex<(@Sendable (String) -> Never)?>(nil)

  static var handler: (@Sendable (String) -> Never)? {
    get { current.withLock { $0 } }
    set { current.withLock { $0 = newValue } }
  }
}

/// Runs a C function that yields one tensor. Swift may release an object right after its last use, before the call it
/// was passed to returns, so the arguments are kept alive across it.
@inline(__always)
func produce(_ a: Tensor, _ body: (OpaquePointer, UnsafeMutablePointer<OpaquePointer?>) -> CTStatus) -> Tensor {
  withExtendedLifetime(a) {
    var out: OpaquePointer?
    must(body(a.handle, &out))
    return Tensor(owning: out!)
  }
}

/// Runs a C function that yields one tensor from two.
@inline(__always)
func produce(
  _ a: Tensor, _ b: Tensor,
  _ body: (OpaquePointer, OpaquePointer, UnsafeMutablePointer<OpaquePointer?>) -> CTStatus
) -> Tensor {
  withExtendedLifetime((a, b)) {
    var out: OpaquePointer?
    must(body(a.handle, b.handle, &out))
    return Tensor(owning: out!)
  }
}

/// Passes the handles of a list to a C function and keeps the tensors alive meanwhile.
func withHandles<Result>(
  _ tensors: [Tensor], _ body: (UnsafePointer<OpaquePointer?>) throws -> Result
) rethrows -> Result {
  try withExtendedLifetime(tensors) {
    let handles: [OpaquePointer?] = tensors.map(\.handle)
    return try handles.withUnsafeBufferPointer { try body($0.baseAddress!) }
  }
}
