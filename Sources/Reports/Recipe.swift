/// How the numbers of a page are made again.
public struct Recipe: Codable, Sendable, Equatable {
  /// The command line, as a shell takes it.
  public let command: String
  /// What was learnt from or measured on, in words.
  public let data: String
  /// The seed of all draws; nil where nothing was drawn.
  public let seed: UInt64?
  /// Which weights of a run were measured, in words; nil where there was no run, or it is not known.
  public let checkpoint: String?
  /// The program: its sources' commit and its libraries' versions.
  public let program: String
  /// Where it was computed.
  public let machine: String

  /// A recipe by its parts.
  public init(
    command: String, data: String, seed: UInt64?, checkpoint: String? = nil, program: String, machine: String
  ) {
    self.command = command
    self.data = data
    self.seed = seed
    self.checkpoint = checkpoint
    self.program = program
    self.machine = machine
  }
}
