import ArgumentParser
import Checkpoints
import Foundation

/// A checkpoint that lies here, or in a model repository of a hub.
struct CheckpointOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Fetch this model repository and use it as the input. HF_ENDPOINT, HF_HOME, HF_HUB_CACHE and HF_TOKEN say where from, where to and as whom.",
      valueName: "owner/name"))
  var fromHub: String?

  @Option(help: ArgumentHelp("The repository's branch, tag or commit. (default: main)", valueName: "name"))
  var revision: String?

  func validate() throws {
    if revision != nil, fromHub == nil { throw ValidationError("--revision goes with --from-hub only") }
  }

  /// Opens what was named: the given path, or what the hub has.
  func open(_ path: String?) throws -> Checkpoint {
    guard let fromHub else { return try Checkpoint(opening: path!) }
    let repository = try asUsageOfHub { try HubRepository(fromHub, revision: revision ?? "main") }
    var line = ProgressLine()
    let folder = try HubDownload(repository, settings: try HubSettings()).run { progress in
      let (received, size) = (Double(progress.received), Double(progress.size))
      line.show(
        "\(progress.file): \(Format.count(received)) of \(Format.count(size)) bytes, "
          + Format.percent(size > 0 ? received / size : 1))
    }
    line.clear()
    return try Checkpoint(opening: folder)
  }

  private func asUsageOfHub<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch { throw ValidationError("--from-hub: \(error)") }
  }
}

/// What a checkpoint may leave unsaid.
struct SettingsOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("The method that the weights were trained with, where the file does not say.", valueName: "name")
  )
  var algo: MethodConfiguration.Algorithm?

  @Option(
    name: .customLong("alpha0"), help: "Share of tokens that diffusion wrote in training, where the file does not say.")
  var alpha0: Double?

  @Option(help: "Tokens of a sequence, where the file does not say.")
  var length: Int?

  @Option(help: ArgumentHelp("Attention heads, where the file does not say.", valueName: "count"))
  var heads: Int?

  @Option(help: ArgumentHelp("The mask token's id, where it is not the last.", valueName: "id"))
  var maskToken: Int?

  var settings: ModelSettings {
    var settings = ModelSettings()
    settings.algorithm = algo?.rawValue
    settings.alpha0 = alpha0
    settings.length = length
    settings.numHeads = heads
    settings.maskToken = maskToken
    return settings
  }
}
