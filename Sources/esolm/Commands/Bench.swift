import ArgumentParser
import Comparison
import EsoLM
import Foundation
import Tool
import Torch

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure this machine.",
    subcommands: [BenchMachine.self, BenchSample.self, BenchTrain.self, BenchQuality.self])
}

struct BenchMachine: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "machine",
    abstract: "Measure what this machine can do at best: reading memory, and matrix products in each precision.",
    discussion: """
      A network call with few rows takes as long as reading its weights; free rows are how many it computes meanwhile, \
      F / B · b / 2 with F operations and B bytes a second and b bytes of a weight.
      """)

  @Option(help: ArgumentHelp("Threads of the CPU to use.", valueName: "count"))
  var threads: Int?

  @Flag(help: "Print results as JSON.")
  var json = false

  func validate() throws { try require("threads", threads, in: 1...1024) }

  func run() throws {
    if let threads { Torch.threadCount = threads }
    let machine = try Machine()
    if json { return try printJSON(machine) }
    var table = Table(["precision", "matrix products, GFLOP/s", "free rows"])
    for precision in Precision.allCases {
      table.add([
        precision.rawValue, Format.number(machine.operationsPerSecond[precision.rawValue]! / 1e9, digits: 0),
        Format.number(machine.freeRows(precision), digits: 1),
      ])
    }
    try printOutput(
      """
      \(Format.threads(machine.threads)), \(machine.instructions), reading \(Format.number(machine.bytesPerSecond / 1e9, digits: 1)) GB/s

      \(table.text)
      """)
  }
}

struct BenchSample: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sample",
    abstract: "Measure what sampling costs, method by method: the paper's speed table on this machine.",
    discussion: """
      Weights are random; plans, caches and the drawing of tokens are the real ones. Methods: \
      \(Contestant.forms.joined(separator: ", ")). What would take longer than --seconds is measured on calls spread evenly over the run, and the \
      table says so. Slots are the rows that the network computes: where products bind they decide, where reading \
      weights binds the number of calls does.
      """)

  @Option(help: ArgumentHelp("Methods, separated by commas.", valueName: "list"))
  var methods = "esolm-b,esolm-a,ar,mdlm,bd3lm:4,bd3lm:16"

  @Option(help: ArgumentHelp("Lengths of texts, separated by commas.", valueName: "list"))
  var lengths = "128,512,2048,8192"

  @Option(
    help: ArgumentHelp(
      "Network calls as shares of the tokens to write, separated by commas; AR takes 1 alone.", valueName: "list"))
  var nfe = "1,0.25,0.0625"

  @Option(help: "The network's size: tiny, small or medium.")
  var model: TransformerConfiguration.Size = .small

  @Option(help: "Tokens of the vocabulary, the mask included.")
  var vocabulary = 50258

  @Option(help: "Texts that are written at a time.")
  var batch = 1

  @Option(help: "Given tokens that each text begins with; its length counts them.")
  var prompt = 0

  @Option(help: "Seconds that a line of the table may take, about.")
  var seconds = 20.0

  @Option(help: "The seed of weights, plans and tokens.")
  var seed: UInt64 = 0

  @Option(help: "How matrices are kept and multiplied: float32, bf16 or int8.")
  var precision: Precision = .float32

  @OptionGroup var cache: CacheOptions

  @Flag(help: "Tell where a call's time goes, on the CPU.")
  var profile = false

  @Flag(help: "Print results as JSON.")
  var json = false

  @OptionGroup var device: DeviceOptions

  private var contestants: [Contestant] {
    get throws { try list("methods", methods, "a method as in esolm-b, mdlm, bd3lm:16") { Contestant($0) } }
  }
  private var textLengths: [Int] {
    get throws {
      try list("lengths", lengths, "a number from 2 to 1048576") { text in
        Int(text).flatMap { (2...(1 << 20)).contains($0) ? $0 : nil }
      }
    }
  }
  private var shares: [Double] {
    get throws {
      try list("nfe", nfe, "a number above 0 and at most 1") { text in
        Double(text).flatMap { $0 > 0 && $0 <= 1 ? $0 : nil }
      }
    }
  }

  func validate() throws {
    try require("vocabulary", vocabulary, in: 2...(1 << 20))
    try require("batch", batch, in: 1...4096)
    try require("seconds", seconds, in: 0.001...1e6)
    _ = try shares
    try require("prompt", prompt, in: 0...(try textLengths.min()! - 1))
    for contestant in try contestants {
      for length in try textLengths { try asUsage { _ = try contestant.configuration(length: length) } }
    }
  }

  func run() throws {
    try device.apply()
    try precision.requireAvailable(on: device.device)
    let benchmark = SamplingBenchmark(
      model: TransformerConfiguration(model, vocabularySize: vocabulary), batch: batch, budget: seconds, seed: seed,
      device: device.device, precision: precision, cachePrecision: cache.cachePrecision, prompt: prompt)
    let networks = SamplingBenchmark.Networks(benchmark)
    var line = ShareLine()
    var measurements: [SamplingBenchmark.Measurement] = []
    let lines = try textLengths.count * shares.count * contestants.count
    var begun = 0
    var leftOut: [String] = []
    for length in try textLengths {
      for share in try shares {
        let calls = max(1, Int((share * Double(length - prompt)).rounded()))
        for contestant in try contestants {
          let what = "\(contestant.title), L = \(length), NFE = \(calls)"
          begun += 1
          let place = "line \(begun) of \(lines)"
          line.show(what, 0, place)
          let found = try asUsage {
            try benchmark.measure(contestant, length: length, calls: calls, networks: networks) {
              line.show(what, $0, place)
            }
          }
          guard let found else {
            leftOut.append(what)
            continue
          }
          measurements.append(found)
          if !json { line.keep("\(what): \(Format.seconds(found.secondsPerSequence)) s a text") }
        }
      }
    }
    line.clear()
    guard !measurements.isEmpty else {
      throw ValidationError("--nfe is \(nfe), expected a share that one of \(methods) has a plan of")
    }
    for what in leftOut { line.keep("\(what): left out, for it has no plan of so many calls") }
    if json {
      try printJSON(measurements)
    } else {
      try printOutput(table(measurements))
    }
  }

  private func table(_ measurements: [SamplingBenchmark.Measurement]) -> String {
    var table = Table([
      "method", "L", "NFE", "s/sequence", "ms to first", "ms/call", "of floor", "slots/token", "calls/token",
      "cache MB", "of NFE timed",
    ])
    for row in measurements {
      table.add([
        row.title, "\(row.length)", "\(row.calls)",
        (row.isInferred ? "≈ " : "") + Format.seconds(row.secondsPerSequence),
        Format.seconds(1000 * row.secondsToFirstToken), Format.seconds(1000 * row.secondsPerCall),
        Format.number(row.secondsPerCall / row.floorSecondsPerCall, digits: 2) + "×",
        Format.number(row.slotsPerToken, digits: 1),
        Format.number(row.callsPerToken, digits: 3), Format.number(Double(row.cacheBytesPerSequence) / 1e6, digits: 1),
        row.isInferred ? "\(row.measuredCalls)" : "all",
      ])
    }
    var ratios = Table(["times as long as Eso-LM (B), a call a token", "L", "ratio"])
    let found = SamplingBenchmark.ratios(measurements)
    for (row, ratio) in found {
      ratios.add([row.title, "\(row.length)", Format.number(ratio, digits: 1) + "×"])
    }
    let bandwidth = measurements.map(\.bytesPerSecond).max() ?? 0
    return """
      Model \(model.rawValue), vocabulary \(vocabulary), batch \(batch), \(prompt) given tokens, weights \(precision.rawValue), cache \
      \(cache.cachePrecision.rawValue), \(device.device.place). ≈: calls spread over the run were timed, and their mean \
      stands for all. Floor: reading weights, keys and values at the \(Format.number(bandwidth / 1e9, digits: 1)) GB/s that \
      were measured meanwhile.
      \(table.text)
      \(profile ? "\n\(profileTable(measurements).text)\n" : "")
      \(found.isEmpty ? "" : ratios.text)
      """
  }

  private func profileTable(_ measurements: [SamplingBenchmark.Measurement]) -> Table {
    var table = Table([
      "ms of a call", "L", "NFE", "products", "output layer", "attention", "norms and rows", "plans and drawing",
    ])
    for row in measurements {
      guard let profile = row.profile else { continue }
      let rest = row.secondsPerCall - profile.products - profile.output - profile.attention - profile.rows
      table.add(
        [row.title, "\(row.length)", "\(row.calls)"]
          + [profile.products, profile.output, profile.attention, profile.rows, rest].map {
            Format.number(1000 * $0, digits: 3)
          })
    }
    return table
  }
}

/// The parts of a comma-separated option.
func list<Value>(
  _ option: String, _ text: String, _ expected: String, _ parse: (String) -> Value?
) throws -> [Value] {
  try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
    guard let value = parse(part.trimmingCharacters(in: .whitespaces)) else {
      throw ValidationError("--\(option) holds '\(part)', expected \(expected)")
    }
    return value
  }
}
