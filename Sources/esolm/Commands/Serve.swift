import ArgumentParser
import Dispatch
import EsoLM
import Files
import Foundation
import Logging
import Runs
import Serving
import Synchronization
import Tokenizers

struct Serve: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
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

  @Argument(help: ArgumentHelp("The run folder.", valueName: "run"))
  var folder: String

  @Option(help: ArgumentHelp("The address or name to listen on.", valueName: "address"))
  var host = "127.0.0.1"

  @Option(help: "The port to listen on; 0 takes a free one and prints it.")
  var port = 8080

  @Option(help: ArgumentHelp("What clients call the model. (default: the run folder's name)", valueName: "name"))
  var name: String?

  @Option(
    help: ArgumentHelp("A file, readable by its owner alone, with the key that clients must send.", valueName: "file"))
  var apiKeyFile: String?

  @Option(
    help: ArgumentHelp("A name by which this machine is asked, beside localhost; several times.", valueName: "name"))
  var allowHost: [String] = []

  @Option(
    help: ArgumentHelp("Pages from elsewhere that may ask: https://example.org; several times.", valueName: "origin"))
  var allowOrigin: [String] = []

  @Option(help: "Seconds that what was begun may take when the server is asked to stop.")
  var grace = 30.0

  @OptionGroup(title: "How much is taken on") var limits: LimitOptions
  @OptionGroup var algorithm: AlgorithmOptions
  @OptionGroup var weights: WeightOptions
  @OptionGroup var cache: CacheOptions
  @OptionGroup var device: DeviceOptions

  @Flag(help: "Log every request, without its text, on standard error.")
  var verbose = false

  func validate() throws {
    try require("port", port, in: 0...65535)
    try require("grace", grace, in: 0...3600)
    if host.isEmpty { throw ValidationError("--host is empty, expected an address or a name") }
    if name == "" { throw ValidationError("--name is empty, expected a name") }
  }

  func run() throws {
    try device.apply()
    var settings = ModelServer.Settings()
    settings.host = host
    settings.port = port
    settings.key = try apiKeyFile.map(Self.key)
    settings.hosts = Set(allowHost.map { $0.lowercased() })
    settings.origins = Set(allowOrigin)
    settings.grace = .seconds(grace)
    settings.limits = limits.limits
    // Whatever is wrong with the run is said before anything listens.
    let run = try RunFolder(opening: folder)
    let method = try algorithm.method(of: run)
    let model: ServedModel
    do {
      model = try ServedModel(
        name: name ?? URL(fileURLWithPath: folder).standardizedFileURL.lastPathComponent, method: method,
        tokenizer: run.tokenizer, network: run.configuration.model, length: run.configuration.method.length,
        created: Self.modificationTime(of: folder))
    } catch let error as ConfigurationError {
      throw FileError("\(folder) cannot be served: \(error)")
    }
    LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
    var logger = Logger(label: "esolm.serve")
    logger.logLevel = verbose ? .debug : .warning
    let server = ModelServer(
      model,
      network: try CachedTransformer(
        weights.network(of: run, device: device.device), cachePrecision: cache.cachePrecision),
      settings: settings, logger: logger)
    let host = host.contains(":") ? "[\(host)]" : host
    let title = "\(model.name), \(method.title)"
    try Self.wait {
      try await server.run { port in
        try? printOutput("Serving \(title) at http://\(host):\(port)")
      }
    } failing: {
      FileError("cannot listen on \(host):\(port): \($0); name another --port, or 0 for a free one")
    }
  }

  /// Runs what is asynchronous to its end.
  private static func wait(
    _ body: @escaping @Sendable () async throws -> Void, failing: (any Error) -> FileError
  ) throws {
    let outcome = Outcome()
    // The first signal is the server's; a second one ends at once.
    Interrupt.shared.noting {
      Task { @Sendable in
        do { try await body() } catch { outcome.failure.withLock { $0 = error } }
        outcome.done.signal()
      }
      outcome.done.wait()
    }
    if let error = outcome.failure.withLock({ $0 }) { throw failing(error) }
  }

  /// How work that goes on elsewhere ended.
  private final class Outcome: Sendable {
    let failure = Mutex<(any Error)?>(nil)
    let done = DispatchSemaphore(value: 0)
  }

  private static func modificationTime(of path: String) -> Int {
    let date = try? FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date
    return Int((date ?? Date()).timeIntervalSince1970)
  }

  /// The key in a file that nobody else can read.
  static func key(_ path: String) throws -> [UInt8] {
    var status = stat()
    guard stat(path, &status) == 0 else { throw FileError("cannot read \(path): there is no such file") }
    guard status.st_mode & 0o077 == 0 else {
      throw FileError("\(path) can be read by others than its owner, expected a key that is secret: chmod 600 \(path)")
    }
    let data = try MappedFile.read(path)
    guard data.count <= 4096 else { throw FileError("\(path) has \(data.count) bytes, expected a key of at most 4096") }
    let key = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    guard !key.isEmpty, key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw FileError("\(path) holds no key, expected one line of printable ASCII without spaces")
    }
    return Array(key.utf8)
  }
}

/// How much a server takes on.
struct LimitOptions: ParsableArguments {
  @Option(help: "Texts to write at a time.")
  var batch = 64

  @Option(help: "Texts that may wait; beyond that requests are refused with 429.")
  var queue = 512

  @Option(help: "Requests to work on at a time; beyond that they are refused with 503.")
  var maxRequests = 256

  @Option(help: "Bytes of a request's body.")
  var maxBody = 4 << 20

  @Option(help: "Texts of one request.")
  var maxTexts = 128

  @Option(help: "Seconds that a request may take.")
  var maxSeconds = 600.0

  @Option(help: "Bytes of given tokens' keys and values to keep for requests that begin alike.")
  var prefixMemory = 256 << 20

  func validate() throws {
    try require("batch", batch, in: 1...4096)
    try require("queue", queue, in: 0...(1 << 20))
    try require("max-requests", maxRequests, in: 1...65536)
    try require("max-body", maxBody, in: 1024...(64 << 20))
    try require("max-texts", maxTexts, in: 1...4096)
    try require("max-seconds", maxSeconds, in: 1...86400)
    try require("prefix-memory", prefixMemory, in: 0...)
  }

  var limits: Limits {
    var limits = Limits()
    limits.places = batch
    limits.queue = queue
    limits.requests = maxRequests
    limits.bodyBytes = maxBody
    limits.totalBodyBytes = max(limits.totalBodyBytes, 2 * maxBody)
    limits.textsPerRequest = maxTexts
    limits.requestSeconds = maxSeconds
    limits.prefixMemory = prefixMemory
    return limits
  }
}
