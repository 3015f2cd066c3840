/// Stops the program with words where it has a fault of its own, in optimised builds too, in which `precondition` says
/// nothing.
///
/// - Parameters:
///   - condition: what always holds unless code is wrong; what users do wrong is an error that is thrown.
///   - message: what was found.
@inlinable
package func trap(
  unless condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID,
  line: UInt = #line
) {
  if !condition() { fatalError(message(), file: file, line: line) }
}
