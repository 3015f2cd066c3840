/// How the numbers of a page are made again.
public struct Recipe: Codable, Sendable, Equatable {
  /// The command line, as a shell takes it.
  public let command: String
  /// What was learnt from or measured on, in words.
  public let data: String
  public let seed: UInt64
  /// The program: its sources' commit and its libraries' versions.
  public let program: String
  /// Where it was computed.
  public let machine: String

  public init(command: String, data: String, seed: UInt64, program: String, machine: String) {
    self.command = command
    self.data = data
    self.seed = seed
    self.program = program
    self.machine = machine
  }
}
