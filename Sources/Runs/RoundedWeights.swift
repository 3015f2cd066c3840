import EsoLM
import Files
import Foundation
import Tokenizers
import Torch

// The weights of a run in the form that samples and evaluates, perhaps rounded: made from those that were trained, or read
// from a folder that holds nothing else.
extension RunFolder {
  /// The file of a folder whose configuration names a precision: the network's tensors in that precision, the modulation
  /// folded in.
  package enum RoundedWeights {
    package static let fileName = "network.safetensors"
  }

  /// The network of the newest checkpoint, or of the best one, to sample and evaluate with. Parameters are read one after
  /// another, so that it takes no more memory than its precision does; those of a folder that is rounded already stay in
  /// the mapped file.
  ///
  /// - Parameters:
  ///   - weights: the last step's or their moving average.
  ///   - choice: of which checkpoint.
  ///   - precision: of its matrices; nil is float32, or what the folder's weights are rounded to.
  ///   - device: where it computes.
  public func network(
    _ weights: Weights = .average, of choice: Choice = .latest, precision: Precision? = nil, device: Device = .cpu
  ) throws -> Transformer {
    try (precision ?? configuration.rounding?.precision)?.requireAvailable(on: device)
    let folder = try folder(of: choice)
    let manifest = try CheckpointManifest.read(folder)
    if device == .cpu { try requireMemory(for: precision ?? configuration.rounding?.precision ?? .float32) }
    if let own = configuration.rounding?.precision {
      guard weights == .average, choice == .latest else {
        throw FileError(
          "\(path) holds one set of weights, in \(own.rawValue); use the run that it was made of for others")
      }
      guard precision ?? own == own else {
        throw FileError(
          "\(path) holds weights in \(own.rawValue), so --precision cannot be \(precision!.rawValue); use the run that it "
            + "was made of")
      }
      let file = try SafetensorsFile(mapping: try manifest.verified(RoundedWeights.fileName, in: folder))
      return try named(file) {
        try Transformer(
          configuration.model, precision: own, found: file.entries.mapValues { ($0.dtype, $0.shape) },
          tensor: file.mappedTensor)
      }
    }
    let file = try SafetensorsFile(mapping: try manifest.verified(weights.fileName, in: folder))
    for (name, entry) in file.entries.sorted(by: { $0.key < $1.key }) where !entry.dtype.isFloatingPoint {
      throw FileError("\(file.path): '\(name)' holds \(entry.dtype.rawValue), expected floating-point numbers")
    }
    return try named(file) {
      try Transformer(
        configuration.model, precision: precision ?? .float32, shapes: file.entries.mapValues(\.shape), device: device
      ) { try! file.mappedTensor($0) }
    }
  }

  private func requireMemory(for precision: Precision) throws {
    func bytes(_ precision: Precision) -> Int {
      Transformer.descriptions(configuration.model, precision: precision).reduce(0) {
        $0 + $1.shape.reduce($1.dtype.byteCount, *)
      }
    }
    try SystemMemory.require(
      bytes(precision), for: "\(path): the network in \(precision.rawValue)",
      wayOut: precision == .int8
        ? "free some of it, or use a larger machine"
        : "in int8 it takes \(bytes(.int8) / 1_000_000) MB (--precision int8)")
  }

  private func named<Result>(_ file: SafetensorsFile, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as ParameterMismatch {
      throw FileError("\(file.path): \(error)")
    } catch let error as TorchError {
      throw FileError("\(file.path): \(error)")
    }
  }

  /// Writes a folder with this run's network in a precision, good for sampling and evaluation; what appears is complete.
  ///
  /// - Parameters:
  ///   - weights: the last step's or their moving average.
  ///   - choice: of which checkpoint.
  ///   - precision: to round to.
  ///   - output: where the folder appears.
  /// - Throws: an error where something is at `output` already.
  public func write(
    _ weights: Weights = .average, of choice: Choice = .latest, in precision: Precision, to output: String
  ) throws {
    try configuration.requireTrainable(at: path)
    let network = try network(weights, of: choice, precision: precision)
    var configuration = self.configuration
    configuration.rounding = .init(precision: precision, run: path)
    try FolderDraft.write(to: output) { draft in
      let source = try CheckpointManifest.read(try folder(of: choice))
      let manifest = CheckpointManifest(step: source.step, seed: source.seed, sequences: source.sequences)
      try CheckpointStore(run: draft).write(manifest) { folder in
        try SafetensorsFile.write(
          network.tensors, metadata: ["precision": precision.rawValue, "step": "\(source.step)"],
          to: "\(folder)/\(RoundedWeights.fileName)")
        return [RoundedWeights.fileName]
      }
      try AtomicFile.write(try TokenizerFile.data(for: tokenizer), to: "\(draft)/\(TokenizerFile.name)")
      try AtomicFile.write(Data(), to: "\(draft)/\(MetricsLog.fileName)")
      try JSONFile.write(configuration, to: "\(draft)/\(Self.configurationName)")
      try AtomicFile.link(
        "\(draft)/\(RoundedWeights.fileName)", to: "\(Choice.latest.rawValue)/\(RoundedWeights.fileName)")
      _ = try RunFolder(opening: draft).network()
    }
  }
}
