import ArgumentParser
import Checkpoints
import EsoLM
import Foundation
import Tool

/// A checkpoint that lies here, or in a model repository of a hub.
struct CheckpointOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Fetch this model repository and use it as the input. HF_ENDPOINT, HF_HOME, HF_HUB_CACHE and HF_TOKEN say where from, where to and as whom. What was fetched before is used where the hub cannot be reached.",
      valueName: "owner/name"))
  var fromHub: String?

  @Option(help: ArgumentHelp("The repository's branch, tag or commit. (default: main)", valueName: "name"))
  var revision: String?

  @Option(
    help: ArgumentHelp(
      "The field of a file of torch.save that holds the state dictionary, where several could.", valueName: "field"))
  var stateDict: String?

  func validate() throws {
    if revision != nil, fromHub == nil { throw ValidationError("--revision goes with --from-hub only") }
  }

  /// Where what was named lies: the given path, or that of what is fetched from the hub.
  func path(_ given: String?) throws -> String {
    guard let fromHub else { return given! }
    let repository = try asUsageOfHub { try HubRepository(fromHub, revision: revision ?? "main") }
    var line = ShareLine()
    let fetched = try HubDownload(repository, settings: try HubSettings()).run { progress in
      let (received, size) = (Double(progress.received), Double(progress.size))
      line.show(
        progress.file, size > 0 ? received / size : 1, "\(Format.count(received)) of \(Format.count(size)) bytes")
    }
    line.clear()
    if let reason = fetched.offline {
      printError("esolm: note: \(reason); using what was fetched before, \(fetched.folder)")
    }
    return fetched.folder
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
  var algo: Algorithm?

  @Option(
    name: .customLong("alpha0"), help: "Share of tokens that diffusion wrote in training, where the file does not say.")
  var alpha0: Double?

  @Option(help: "Eso-LM: how clean tokens stood in the diffusion term, where the file does not say.")
  var cleanOrder: DiffusionOrders.Order?

  @Option(help: "Eso-LM: how masked tokens stood in it, where the file does not say.")
  var maskOrder: DiffusionOrders.Order?

  @Option(help: "Tokens of a sequence, where the file does not say.")
  var length: Int?

  @Option(help: ArgumentHelp("Attention heads, where the file does not say.", valueName: "count"))
  var heads: Int?

  @Option(help: ArgumentHelp("The mask token's id, where it is not the last.", valueName: "id"))
  var maskToken: Int?

  @Option(help: "AR: what a text starts from, where the file does not say: mask, bos or none.")
  var prepend: MethodConfiguration.Prepend?

  @Option(help: ArgumentHelp("BD3-LM: tokens of a block, where the file does not say.", valueName: "count"))
  var blockSize: Int?

  @Option(
    help: ArgumentHelp("BD3-LM: the times it trained on, where the file does not say.", valueName: "low,high | search"))
  var noiseRange: NoiseRange?

  @Flag(help: "BD3-LM: the first token of a sequence was given, never predicted.")
  var keepFirstToken = false

  var settings: ModelSettings {
    var settings = ModelSettings()
    settings.algorithm = algo
    settings.prepend = prepend
    settings.blockSize = blockSize
    settings.noiseRange = noiseRange
    settings.keepsFirstToken = keepFirstToken ? true : nil
    settings.alpha0 = alpha0
    settings.cleanOrder = cleanOrder
    settings.maskOrder = maskOrder
    settings.length = length
    settings.network.numHeads = heads
    settings.maskToken = maskToken
    return settings
  }
}
