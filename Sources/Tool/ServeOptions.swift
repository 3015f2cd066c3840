import ArgumentParser

/// What `esolm serve` is told. The server is a program of its own, so that nothing it alone stands on is compiled for the
/// other commands.
package struct ServeOptions: ParsableArguments {
  package init() {}

  package static func configuration(commandName: String) -> CommandConfiguration {
    CommandConfiguration(
      commandName: commandName,
      abstract: "Serve a trained run over HTTP: OpenAI's completions, infilling, exact scores, and a page.",
      discussion: """
        Listens on this machine alone unless --host says otherwise, and takes requests as OpenAI's completions \
        (/v1/completions) and as the doors that editors knock on: llama.cpp's /infill and /completion, Mistral's \
        /v1/fim/completions, Ollama's /api/generate. /v1/infill fills a text with several holes, /v1/score scores parts of \
        a text. The page at / shows how a text is written. Texts of requests are not logged.

        SIGTERM and Ctrl-C let what was begun finish, for --grace seconds; a second one ends at once.

        Examples:
          esolm serve RUN
          esolm serve RUN --port 0 --api-key-file key.txt
        """)
  }

  @Argument(help: ArgumentHelp("The run folder.", valueName: "run"))
  package var folder: String

  @Option(help: ArgumentHelp("The address or name to listen on.", valueName: "address"))
  package var host = "127.0.0.1"

  @Option(help: "The port to listen on; 0 takes a free one and prints it.")
  package var port = 8080

  @Option(help: ArgumentHelp("What clients call the model. (default: the run folder's name)", valueName: "name"))
  package var name: String?

  @Option(
    help: ArgumentHelp("A file, readable by its owner alone, with the key that clients must send.", valueName: "file"))
  package var apiKeyFile: String?

  @Option(
    help: ArgumentHelp("A name by which this machine is asked, beside localhost; several times.", valueName: "name"))
  package var allowHost: [String] = []

  @Option(
    help: ArgumentHelp("Pages from elsewhere that may ask: https://example.org; several times.", valueName: "origin"))
  package var allowOrigin: [String] = []

  @Option(help: "Seconds that what was begun may take when the server is asked to stop.")
  package var grace = 30.0

  @OptionGroup(title: "How much is taken on") package var limits: LimitOptions
  @OptionGroup package var algorithm: AlgorithmOptions
  @OptionGroup package var weights: WeightOptions
  @OptionGroup package var cache: CacheOptions
  @OptionGroup package var device: DeviceOptions

  @Flag(help: "Log every request, without its text, on standard error.")
  package var verbose = false

  package func validate() throws {
    try require("port", port, in: 0...65535)
    try require("grace", grace, in: 0...3600)
    if host.isEmpty { throw ValidationError("--host is empty, expected an address or a name") }
    if name == "" { throw ValidationError("--name is empty, expected a name") }
  }
}

/// How much a server takes on.
package struct LimitOptions: ParsableArguments {
  package init() {}

  @Option(help: "Texts to write at a time.")
  package var batch = 64

  @Option(help: "Texts that may wait; beyond that requests are refused with 429.")
  package var queue = 512

  @Option(help: "Requests to work on at a time; beyond that they are refused with 503.")
  package var maxRequests = 256

  @Option(help: "Bytes of a request's body.")
  package var maxBody = 4 << 20

  @Option(help: "Texts of one request.")
  package var maxTexts = 128

  @Option(help: "Seconds that a request may take.")
  package var maxSeconds = 600.0

  @Option(help: "Bytes of given tokens' keys and values to keep for requests that begin alike.")
  package var prefixMemory = 256 << 20

  package func validate() throws {
    try require("batch", batch, in: 1...4096)
    try require("queue", queue, in: 0...(1 << 20))
    try require("max-requests", maxRequests, in: 1...65536)
    try require("max-body", maxBody, in: 1024...(64 << 20))
    try require("max-texts", maxTexts, in: 1...4096)
    try require("max-seconds", maxSeconds, in: 1...86400)
    try require("prefix-memory", prefixMemory, in: 0...)
  }
}
