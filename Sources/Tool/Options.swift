import ArgumentParser
import EsoLM
import Foundation
import Runs
import Settings
import Torch

/// Where to compute.
package struct DeviceOptions: ParsableArguments {
  package init() {}

  @Option(help: "Where to compute: cpu, cuda or mps, if the libtorch at hand has it.")
  package var device: Device = .cpu

  @Option(help: ArgumentHelp("Threads of the CPU to use.", valueName: "count"))
  package var threads: Int?

  package func validate() throws {
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads is \(threads), expected 1 to 1024")
    }
  }

  /// Call before anything is computed.
  package func apply() throws {
    try device.requireAvailable()
    if let threads { Torch.threadCount = threads }
  }
}

extension Device: ExpressibleByArgument {}

/// Which weights of a run to use.
package struct WeightOptions: ParsableArguments {
  package init() {}

  @Flag(name: .customLong("raw-weights"), help: "Use the last step's weights instead of their moving average.")
  package var rawWeights = false

  @Flag(help: "Use the checkpoint with the lowest validation loss, of a run trained with --keep-best.")
  package var best = false

  @Option(
    help: """
      How matrices are kept and multiplied: float32, bf16 (half the memory) or int8 (a quarter); embedding and norms stay \
      float32. (default: float32, or what convert --precision rounded them to)
      """)
  package var precision: Precision?

  /// The options that were given.
  package var given: [String] {
    [("raw-weights", rawWeights), ("best", best), ("precision", precision != nil)].filter(\.1).map(\.0)
  }

  package func network(of run: RunFolder, device: Device) throws -> Transformer {
    try run.network(rawWeights ? .model : .average, of: best ? .best : .latest, precision: precision, device: device)
  }

  /// Which weights of a run these are, in words.
  package func checkpoint(of run: RunFolder) throws -> String {
    let step = try run.savedStep(of: best ? .best : .latest)
    let kind = rawWeights ? "its own weights" : "the moving average of weights"
    return "step \(step) of \(run.path), \(run.configuration.rounding == nil ? kind : "rounded weights")"
  }
}

extension Precision: ExpressibleByArgument {}

/// How keys and values are kept.
package struct CacheOptions: ParsableArguments {
  package init() {}

  private enum Kept: String, CaseIterable, ExpressibleByArgument { case float32, bf16 }

  @Option(
    name: .customLong("cache-precision"), help: "How keys and values are kept: float32 or bf16 (half the memory).")
  private var kept: Kept = .float32

  package var cachePrecision: Precision {
    switch kept {
    case .float32: .float32
    case .bf16: .bfloat16
    }
  }
}

/// Which method a run must be of.
package struct AlgorithmOptions: ParsableArguments {
  package init() {}

  @Option(name: .customLong("algo"), help: "Refuse a run that was not trained by this algorithm.")
  package var algorithm: Algorithm?

  /// The run's method, with another α₀ if one is given.
  package func method(of run: RunFolder, alpha0: Double? = nil) throws -> any GenerationMethod {
    var configuration = run.configuration.method
    if let algorithm, algorithm != configuration.algorithm {
      throw ValidationError(
        "--algo is \(algorithm.rawValue), expected \(configuration.algorithm.rawValue), which \(run.path) was trained by"
      )
    }
    guard let alpha0 else { return run.method }
    configuration.alpha0 = alpha0
    // How the loss was weighed does not matter any more.
    configuration.weighting = nil
    return try asUsage { try run.method(of: configuration) }
  }
}

extension Algorithm: ExpressibleByArgument {}
extension TransformerConfiguration.Size: ExpressibleByArgument {}
extension MethodConfiguration.Prepend: ExpressibleByArgument {}
extension DiffusionOrders.Order: ExpressibleByArgument {}
extension GenerationRequest.Schedule: ExpressibleByArgument {}
extension GenerationRequest.ContextOrder: ExpressibleByArgument {}
extension AdaptiveChoice.Measure: ExpressibleByArgument {}
extension WritingOrder: ExpressibleByArgument {}

extension NoiseRange: ExpressibleByArgument {
  public init?(argument: String) { self.init(argument) }
}

/// How tokens are drawn.
package struct PickingOptions: ParsableArguments {
  package init() {}

  private static let usualTopP = 0.9

  @Option(help: ArgumentHelp("Keep the likeliest tokens whose probabilities reach this.", valueName: "p"))
  package var topP = usualTopP

  @Option(
    help: ArgumentHelp("Keep this many of the likeliest tokens, and those that tie with the last.", valueName: "k"))
  package var topK: Int?

  @Option(help: ArgumentHelp("Divides the logits; 0 takes the likeliest token.", valueName: "t"))
  package var temperature = 1.0

  package func validate() throws { _ = try picker() }

  /// The options that were given other than as they are usually.
  package var given: [String] {
    [("top-p", topP != Self.usualTopP), ("top-k", topK != nil), ("temperature", temperature != 1)]
      .filter(\.1).map(\.0)
  }

  package func picker() throws -> TokenPicker {
    try asUsage { try TokenPicker(temperature: temperature, topP: topP, topK: topK) }
  }
}

/// Runs code in which an impossible configuration comes from the command line, so that it is reported as wrong usage of
/// the option that was typed.
package func asUsage<Result>(_ body: () throws -> Result) throws -> Result {
  do {
    return try body()
  } catch let error as ConfigurationError {
    throw ValidationError("\(OptionName(filling: error.field)) is \(error.found), expected \(error.expected)")
  } catch let error as SettingError where error.isUsage {
    throw ValidationError("\(error)")
  }
}

/// The option that fills a field of a configuration.
package struct OptionName: CustomStringConvertible {
  package let description: String

  package init(filling field: String) {
    let declared = RunSettings.settings.first { $0.name == field }?.flag
    description = "--\(declared ?? field.map { $0.isUppercase ? "-\($0.lowercased())" : "\($0)" }.joined())"
  }
}

/// Throws a usage error unless a number lies in a range.
package func require<Number: Comparable>(_ option: String, _ value: Number?, in range: ClosedRange<Number>) throws {
  guard let value, !range.contains(value) else { return }
  throw ValidationError("--\(option) is \(value), expected \(range.lowerBound) to \(range.upperBound)")
}

/// The same for a range without end.
package func require<Number: Comparable>(_ option: String, _ value: Number?, in range: PartialRangeFrom<Number>) throws
{
  guard let value, !range.contains(value) else { return }
  throw ValidationError("--\(option) is \(value), expected at least \(range.lowerBound)")
}
