import Testing

@Suite("Help")
struct HelpTests {
  /// Options that say how text is read.
  private static let reading = [
    "--format", "--field", "--columns", "--csv-header", "--documents", "--separator", "--detokenize",
    "--skip-bad-lines",
  ]

  /// Options that say how documents become sequences.
  private static let corpus = ["--dataset", "--data-dir", "--packing", "--no-end-of-text", "--token-dir"]

  /// Every option of every command.
  private static let options = [
    "train": [
      "--data", "--out", "--resume", "--steps", "--model", "--hidden-size", "--blocks", "--heads",
      "--conditioning-size", "--dropout", "--alpha0", "--loss", "--length", "--batch", "--tokenizer", "--seed",
      "--learning-rate", "--warmup", "--weight-decay", "--clip", "--ema", "--bf16", "--validation-fraction",
      "--validate-every", "--validation-sequences", "--save-every", "--keep-last", "--keep-best", "--init-from",
      "--device", "--threads", "--algo", "--prepend",
      "--adaln", "--block-size", "--noise-range", "--resample", "--no-resample", "--keep-first-token",
      "--validation-data",
    ] + corpus + reading,
    "tokenize": ["--tokenizer", "--out", "--end-of-text", "--no-end-of-text", "--json"] + reading,
    "detokenize": ["--tokenizer", "--keep-special-tokens", "--json"],
    "datasets": ["--json"],
    "sample": [
      "--prompt", "--suffix", "--template", "--prompts", "--max-tokens", "--stop", "--ignore-end-of-text",
      "--context-order", "--allow-longer", "--stream", "--alternatives", "--steps", "--alpha0", "--length",
      "--schedule", "--num-samples", "--batch", "--seed", "--top-p", "--top-k",
      "--temperature", "--no-cache", "--watch", "--json", "--raw-weights", "--best", "--device", "--threads", "--algo",
    ],
    "eval": [],
    "eval ppl": [
      "--data", "--alpha0", "--exact", "--orders", "--draws", "--max-sequences", "--batch", "--seed", "--json",
      "--raw-weights", "--best", "--device", "--threads", "--algo",
    ] + corpus + reading,
    "eval zero-shot": [
      "--data-dir", "--alpha0", "--orders", "--draws", "--max-sequences", "--batch", "--seed", "--json",
      "--raw-weights", "--best", "--device", "--threads", "--algo",
    ],
    "eval gen-ppl": [
      "--allow-longer", "--num-samples", "--steps", "--alpha0", "--length", "--schedule", "--seed", "--top-p",
      "--top-k", "--temperature",
      "--batch",
      "--judge", "--judge-tokenizer", "--judge-batch", "--json", "--raw-weights", "--best", "--device", "--threads",
      "--algo",
    ],
    "eval entropy": [
      "--allow-longer", "--num-samples", "--steps", "--alpha0", "--length", "--schedule", "--seed", "--top-p",
      "--top-k", "--temperature",
      "--batch",
      "--json", "--raw-weights", "--best", "--device", "--threads", "--algo",
    ],
    "eval mauve": [
      "--allow-longer", "--num-samples", "--steps", "--alpha0", "--length", "--schedule", "--seed", "--top-p",
      "--top-k", "--temperature",
      "--batch",
      "--judge", "--judge-tokenizer", "--judge-batch", "--reference", "--num-references", "--buckets", "--scale",
      "--clustering-seed", "--json", "--raw-weights", "--best", "--device", "--threads", "--algo",
    ],
    "eval choice": [
      "--data", "--orders", "--alpha0", "--max-questions", "--skip-bad-lines", "--batch", "--seed", "--json",
      "--raw-weights", "--best", "--device", "--threads", "--algo", "--preprocess",
    ],
    "eval score": [
      "--text", "--span", "--given", "--orders", "--alpha0", "--batch", "--seed", "--json", "--raw-weights", "--best",
      "--device",
      "--threads", "--algo",
    ],
    "eval report": [
      "--out", "--data", "--max-sequences", "--orders", "--draws", "--num-samples", "--steps", "--top-p", "--top-k",
      "--temperature", "--judge", "--judge-tokenizer", "--data-dir", "--choice", "--batch", "--seed", "--json",
      "--raw-weights", "--best", "--device", "--threads", "--algo",
    ],
    "bench sample": [
      "--methods", "--lengths", "--nfe", "--model", "--vocabulary", "--batch", "--seconds", "--seed", "--json",
      "--device", "--threads",
    ],
    "inspect": [
      "--from-hub", "--revision", "--state-dict", "--algo", "--alpha0", "--length", "--heads", "--mask-token",
      "--prepend", "--block-size", "--noise-range", "--keep-first-token", "--json",
    ],
    "convert": [
      "--to", "--from-hub", "--revision", "--state-dict", "--algo", "--alpha0", "--length", "--heads", "--mask-token",
      "--prepend", "--block-size", "--noise-range", "--keep-first-token", "--tokenizer", "--raw-weights", "--json",
    ],
    "compare": [
      "--data", "--out", "--methods", "--steps", "--length", "--batch", "--learning-rate", "--orders", "--samples",
      "--time-steps", "--top-p", "--seed", "--json", "--model", "--hidden-size", "--blocks", "--heads",
      "--conditioning-size", "--dropout", "--device", "--threads",
    ],
    "verify": ["--batch-invariance", "--json", "--vocabularies"],
    "demo": ["--data", "--out", "--steps", "--alpha0", "--seed", "--device", "--threads"],
  ]

  /// Options without which a command complains of that first.
  private static let needed = [
    "eval zero-shot": ["--data-dir", "x"], "eval gen-ppl": ["--judge", "x"], "eval mauve": ["--judge", "x"],
    "eval choice": ["--data", "x"], "eval score": ["--text", "x", "--span", "0:1"],
  ]

  @Test(arguments: options.keys.sorted()) func aCommandsHelpListsItsOptionsAndNoOthers(command: String) async throws {
    let help = try await Esolm.succeed(command.split(separator: " ").map(String.init) + ["--help"])
    // In the list an option stands at the beginning of a line.
    let listed = help.output.split(separator: "\n").filter { $0.hasPrefix("  -") }
      .flatMap { $0.split(whereSeparator: { " ,/".contains($0) }).prefix { $0.hasPrefix("-") } }
      .filter { $0.hasPrefix("--") && !["--help", "--version"].contains($0) }
    #expect(Set(listed.map(String.init)) == Set(Self.options[command]!))
    #expect(help.error == "")
  }

  @Test(arguments: [[], ["--help"], ["help"]]) func theToolsHelpListsItsCommands(arguments: [String]) async throws {
    let help = try await Esolm.succeed(arguments)
    for command in Self.options.keys where !command.contains(" ") { #expect(help.output.contains("\n  \(command) ")) }
  }

  @Test func theVersionNamesLibtorchs() async throws {
    let version = try await Esolm.succeed(["--version"])
    #expect(version.output.wholeMatch(of: #/\d+\.\d+\.\d+ \(libtorch 2\.\d+\.\d+.*\)\n/#) != nil)
  }

  @Test(arguments: options.keys.sorted()) func anUnknownOptionIsWrongUsage(command: String) async throws {
    let result = try await Esolm.run(
      command.split(separator: " ").map(String.init) + ["x"] + Self.needed[command, default: []] + ["--frobnicate"])
    #expect(result.status == 2)
    #expect(result.error == "esolm: error: Unknown option '--frobnicate' (see esolm \(command) --help)\n")
    #expect(result.output == "")
  }
}
