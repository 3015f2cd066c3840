import Torch

/// Runs synchronous code with so many threads an operation. A thread of another test that computes for the first time
/// meanwhile begins with that number too.
public func withThreads<Result>(_ count: Int, _ body: () throws -> Result) rethrows -> Result {
  let before = Torch.threadCount
  Torch.threadCount = count
  defer { Torch.threadCount = before }
  return try body()
}
