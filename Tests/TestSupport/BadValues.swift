import EsoLM

/// The field that a value was refused for; the error's text where it names none, and nil where nothing was refused.
public func refusedField(_ body: () throws -> some Any) -> String? {
  do {
    _ = try body()
    return nil
  } catch let error as ConfigurationError {
    return error.field
  } catch {
    return "\(error)"
  }
}

/// Values that something of at least 1 cannot have.
public let badCounts = [0, -1, Int.min]

/// Values that a share cannot have.
public let badShares = [-0.001, 1.001, .nan, .infinity, -.infinity, .greatestFiniteMagnitude]
