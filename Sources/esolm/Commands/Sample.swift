import ArgumentParser
import EsoLM
import Files
import Foundation
import Prompts
import Runs
import Tokenizers
import Tool
import Training

struct Sample: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sample",
    abstract: "Write text with a trained run: from nothing, after a prompt, or into holes.",
    discussion: """
      Eso-LM: diffusion writes a share alpha0 of the tokens, many in one network call; the rest follows from left to \
      right. With T time steps the diffusion phase takes at most T calls. MDLM writes everything by diffusion, BD3-LM \
      block after block (T counts the time steps of a block), AR one token a call. The same seed gives the same text.

      Eso-LM and MDLM fill holes anywhere; AR and BD3-LM continue a prompt. What is written is exactly distributed as \
      the model says, given the rest. The length of a hole [[..20]] with text behind it is drawn by how well that text \
      fits there, which supposes that all lengths are equally probable; with nothing behind it, the text ends where a \
      stop or the end-of-text token ends it.

      Examples:
        esolm sample RUN --prompt "Once upon a time" --max-tokens 40
        esolm sample RUN --template "The [[5]] sat on [[..20]]."
        esolm sample RUN --prompts questions.jsonl --num-samples 4 --json
      """)

  @Argument(help: ArgumentHelp("The run folder.", valueName: "run"))
  var folder: String

  @OptionGroup var algorithm: AlgorithmOptions
  @OptionGroup(title: "What is given") var prompting: PromptOptions
  @OptionGroup(title: "How it is written") var writing: WritingOptions
  @OptionGroup(title: "How it is written") var length: LengthOptions

  @Option(help: "How many texts, of each prompt.")
  var numSamples = 1

  @Option(
    help: ArgumentHelp(
      "Eso-LM (B), AR: write so many for each text and keep the one that is most probable, one token at a time.",
      valueName: "N"))
  var bestOf = 1

  @Option(
    help: ArgumentHelp(
      "Eso-LM (B), AR: instead of drawing, the most probable texts that a search finds which keeps K at a time.",
      valueName: "K"))
  var beam: Int?

  @Flag(help: "Recompute keys and values in every call, for checking: the text must be the same.")
  var noCache = false

  @Flag(help: "Print each text from left to right while it is written, as far as it is final; one after another.")
  var stream = false

  @Flag(help: "Show how masks turn into text, step by step, on standard error (one text at a time).")
  var watch = false

  @Flag(help: "Print a JSON object a line for each text, when it is done: tokens, log-probabilities, NFE, times.")
  var json = false

  @Option(help: ArgumentHelp("With --json: tell the likeliest tokens of each written one.", valueName: "k"))
  var alternatives = 0

  @OptionGroup var weights: WeightOptions
  @OptionGroup var cache: CacheOptions
  @OptionGroup var device: DeviceOptions

  func validate() throws {
    try require("num-samples", numSamples, in: 1...(1 << 24))
    try require("alternatives", alternatives, in: 0...100)
    try require("best-of", bestOf, in: 1...(1 << 16))
    if bestOf > 1, stream || watch { throw ValidationError("--best-of goes with neither --stream nor --watch") }
    if let beam {
      try require("beam", beam, in: 1...(1 << 16))
      let others = (writing.given.filter { $0 != "alpha0" } + writing.picking.given).map { "--\($0)" }
      let flags = [("--best-of", bestOf > 1), ("--stream", stream), ("--watch", watch), ("--no-cache", noCache)]
      if let other = (others + flags.filter(\.1).map(\.0)).first {
        throw ValidationError("--beam goes without \(other): it writes one token a call, and draws none")
      }
      guard numSamples <= beam else {
        throw ValidationError("--num-samples is \(numSamples), expected at most the \(beam) texts of --beam")
      }
    }
    if noCache, cache.cachePrecision != .float32 {
      throw ValidationError("--cache-precision goes without --no-cache, which keeps no keys and values")
    }
    if stream, json || watch { throw ValidationError("--stream goes with neither --json nor --watch") }
    if length.length != nil, prompting.template != nil || (prompting.maxTokens != nil && prompting.prompts == nil) {
      throw ValidationError("--length goes with neither --template nor --max-tokens, which say how long a text becomes")
    }
    if alternatives > 0, !json { throw ValidationError("--alternatives goes with --json") }
  }

  func run() throws {
    try device.apply()
    let prompts = try prompting.read()
    let run = try RunFolder(opening: folder)
    let method = try algorithm.method(of: run)
    let network = try CachedTransformer(
      weights.network(of: run, device: device.device), cachePrecision: cache.cachePrecision)
    let stop = try StopStrings(
      prompting.stop, tokens: prompting.ignoreEndOfText ? [] : [run.tokenizer.endOfText], tokenizer: run.tokenizer)

    let maker = TextMaker(command: self, run: run, method: method, network: network, stop: stop)
    // Whatever is wrong with a prompt is said before anything is written.
    var checking = ShareLine()
    for (index, prompt) in prompts.enumerated() {
      let text = try maker.make(prompt, number: index * numSamples * bestOf)
      guard bestOf == 1 || text.generation.hasExactProbability else {
        throw ValidationError(
          "--best-of is \(bestOf), expected 1 for \(method.title), whose texts have no exact probability to choose by")
      }
      checking.show("looking at prompts", Double(index + 1) / Double(prompts.count))
    }
    checking.clear()

    var view = SampleView(self, run: run, stop: stop, count: prompts.count * numSamples)
    var report = SampleReport(command: self, run: run, method: method, network: network, stop: stop)
    let calls =
      try beam.map { try search(prompts, width: $0, maker, &view, &report) } ?? draw(prompts, maker, &view, &report)
    view.clear()
    if !json { report.finish(calls: calls) }
  }

  /// Writes texts beside each other, candidates of `--best-of` like others.
  ///
  /// - Returns: network calls.
  private func draw(
    _ prompts: [PromptOptions.Prompt], _ maker: TextMaker, _ view: inout SampleView, _ report: inout SampleReport
  ) throws -> Int {
    let sampler = Sampler(maker.network, places: writing.batch, usesCache: !noCache)
    let places = stream || watch ? 1 : writing.batch
    let count = prompts.count * numSamples * bestOf
    var texts: [Generation.ID: TextMaker.Text] = [:]
    var candidates: [Int: [SampleReport.Candidate]] = [:]
    var next = 0
    while next < count || !sampler.isEmpty {
      while next < count, texts.count < places {
        let text = try maker.make(prompts[next / (numSamples * bestOf)], number: next)
        texts[sampler.add(text.generation)] = text
        next += 1
      }
      let start = ContinuousClock.now
      let steps = try sampler.advance()
      report.seconds += (ContinuousClock.now - start).seconds
      for step in steps {
        guard let generation = step.finished ?? sampler[step.id], let text = texts[step.id] else { continue }
        view.progress(step, holes: text.request.holes.count)
        try view.show(step, generation, number: text.number)
        guard step.finished != nil else { continue }
        texts[step.id] = nil
        candidates[text.number, default: []].append((text, generation, step.elapsed.seconds))
        guard candidates[text.number]!.count == bestOf else { continue }
        let own = candidates.removeValue(forKey: text.number)!
        try tell(try report.best(of: own), &view, &report)
      }
    }
    return sampler.madeCalls
  }

  /// Finds the most probable texts, one prompt after another.
  ///
  /// - Returns: network calls.
  private func search(
    _ prompts: [PromptOptions.Prompt], width: Int, _ maker: TextMaker, _ view: inout SampleView,
    _ report: inout SampleReport
  ) throws -> Int {
    var calls = 0
    for (index, prompt) in prompts.enumerated() {
      let text = try maker.make(prompt, number: index * numSamples)
      try SystemMemory.require(
        width * text.request.length * maker.network.bytesPerCachedSlot,
        for: "--beam \(width): keys and values of as many texts",
        wayOut: "keep fewer")
      let start = ContinuousClock.now
      let found = try asUsage {
        try text.generation.mostProbable(width: width, under: maker.network) { written in
          view.progress(index, Double(written) / Double(text.request.holes.count))
        }
      }
      let seconds = (ContinuousClock.now - start).seconds
      report.seconds += seconds
      calls += found.map(\.networkCalls).max() ?? 0
      for (place, generation) in found.prefix(numSamples).enumerated() {
        var own = text
        own.number += place
        try tell((own, generation, seconds), &view, &report)
      }
    }
    return calls
  }

  private func tell(
    _ text: SampleReport.Candidate, _ view: inout SampleView, _ report: inout SampleReport
  ) throws {
    let line = try report.line(of: text.text, text.generation, seconds: text.seconds)
    view.clear()
    if json { try printJSON(line, onOneLine: true) } else { try view.print(line.text, number: text.text.number) }
  }
}

/// Makes the texts that were asked for, as they are before anything is written.
struct TextMaker {
  let command: Sample
  let run: RunFolder
  let method: any GenerationMethod
  let network: CachedTransformer
  let stop: StopStrings
  /// One for all texts, since it remembers what it asked the network last.
  private let holeLengths: HoleLengths<CachedTransformer>

  init(command: Sample, run: RunFolder, method: any GenerationMethod, network: CachedTransformer, stop: StopStrings) {
    (self.command, self.run, self.method, self.network, self.stop) = (command, run, method, network, stop)
    holeLengths = HoleLengths(method, network: network, tokenizer: run.tokenizer)
  }

  struct Text {
    var number: Int
    /// The positions of each hole; nil where nothing was given.
    let holes: [Range<Int>]?
    let request: GenerationRequest
    let generation: Generation
  }

  /// - Parameter number: of the text, among all of all prompts, candidates counted.
  func make(_ prompt: PromptOptions.Prompt, number: Int) throws -> Text {
    try named(prompt) {
      let length = command.length.length ?? run.configuration.method.length
      var lengths: [Int]?
      if let template = prompt.template, template.hasOpenLengths {
        _ = try command.writing.request(
          try template.tokens(run.tokenizer), of: run, in: network.precision,
          allowsLonger: command.length.allowLonger)
        lengths = try holeLengths.draw(template, seed: command.writing.seed, number: number)
      }
      let layout = try prompt.template?.layout(run.tokenizer, length: length, lengths: lengths)
      var request = try command.writing.request(
        layout?.tokens ?? Array(repeating: nil, count: length), of: run, in: network.precision,
        number: number, allowsLonger: command.length.allowLonger)
      if lengths != nil { request.limitCalls() }
      request.contextOrder = command.prompting.contextOrder
      request.alternativeCount = min(command.alternatives, network.configuration.vocabularySize - 1)
      if prompt.template != nil || !command.prompting.stop.isEmpty { request.stop = stop }
      if command.beam != nil, (method as? EsotericMethod)?.variant == .b { request.draft = try Speculation(.fixed(0)) }
      return Text(
        number: number / command.bestOf, holes: layout?.holes, request: request,
        generation: try method.generation(request, for: network.configuration))
    }
  }

  /// Errors about a prompt name it.
  private func named<Result>(_ prompt: PromptOptions.Prompt, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as ConfigurationError where !prompt.isFromFile {
      let option = error.field == "template" ? prompt.place : "\(OptionName(filling: error.field))"
      throw ValidationError("\(option) is \(error.found), expected \(error.expected)")
    } catch let error as ValidationError where !prompt.isFromFile {
      throw error
    } catch {
      throw FileError("\(prompt.place): \(error)")
    }
  }
}
