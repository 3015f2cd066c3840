import Torch

/// Runs synchronous code with so many threads an operation.
public func withThreads<Result>(_ count: Int, _ body: () throws -> Result) rethrows -> Result {
  let before = Torch.threadCount
  Torch.threadCount = count
  defer { Torch.threadCount = before }
  return try body()
}
