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
import Tool

/// The server: what `esolm serve` turns into.
@main
struct ServeCommand: ParsableCommand {
  static let configuration = ServeOptions.configuration(commandName: "esolm serve")

  @OptionGroup var options: ServeOptions

  static func main() { runAsTool() }

  func run() throws {
    try options.device.apply()
    let settings = try options.settings
    // Whatever is wrong with the run is said before anything listens.
    let run = try RunFolder(opening: options.folder)
    let method = try options.algorithm.method(of: run)
    var model: ServedModel
    do {
      model = try ServedModel(
        name: options.name ?? URL(fileURLWithPath: options.folder).standardizedFileURL.lastPathComponent,
        method: method, tokenizer: run.tokenizer, network: run.configuration.model,
        length: run.configuration.method.length, created: Self.modificationTime(of: options.folder))
    } catch let error as ConfigurationError {
      throw FileError("\(options.folder) cannot be served: \(error)")
    }
    if let state = Self.unfinishedTraining(of: run) { printError("\(options.folder) is \(state)") }
    LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
    var logger = Logger(label: "esolm.serve")
    logger.logLevel = options.verbose ? .debug : .warning
    let network = try CachedTransformer(
      options.weights.network(of: run, device: options.device.device), cachePrecision: options.cache.cachePrecision)
    model.precision = network.precision
    let server = ModelServer(model, network: network, settings: settings, logger: logger)
    let host = options.host.contains(":") ? "[\(options.host)]" : options.host
    let title = "\(model.name), \(method.title)"
    do {
      try Self.run(server) { port in try? printOutput("Serving \(title) at http://\(host):\(port)") }
    } catch let error as ListeningError {
      let wayOut = error.isOfPort ? "name another --port, or 0 for a free one" : "name another --host"
      throw FileError("cannot listen on \(host):\(options.port): \(error); \(wayOut)")
    }
  }

  /// Serves until the first signal, and what was begun to its end.
  private static func run(
    _ server: ModelServer, onRunning: @escaping @Sendable (_ port: Int) async -> Void
  ) throws {
    let (requests, request) = AsyncStream<Void>.makeStream()
    let outcome = Outcome()
    // Nobody else listens to signals: the process could end before a second listener has heard of the first.
    Interrupt.shared.noting(onRequest: { request.finish() }) {
      Task {
        do {
          try await server.run(until: { for await _ in requests {} }, onRunning: onRunning)
        } catch {
          outcome.failure.withLock { $0 = error }
        }
        outcome.done.signal()
      }
      outcome.done.wait()
    }
    if let error = outcome.failure.withLock({ $0 }) { throw error }
  }

  /// How work that goes on elsewhere ended.
  private final class Outcome: Sendable {
    let failure = Mutex<(any Error)?>(nil)
    let done = DispatchSemaphore(value: 0)
  }

  /// How far a run is whose training was interrupted.
  private static func unfinishedTraining(of run: RunFolder) -> String? {
    if case .converted = run.configuration.data.source { return nil }
    let steps = run.configuration.training.steps
    guard run.configuration.rounding == nil, let step = try? run.savedStep(), step < steps else { return nil }
    return "trained for \(step) of \(steps) steps; go on with: esolm train --resume \(run.path)"
  }

  private static func modificationTime(of path: String) -> Int {
    let date = try? FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date
    return Int((date ?? Date()).timeIntervalSince1970)
  }
}

extension ServeOptions {
  /// Where and to whom is served.
  var settings: ModelServer.Settings {
    get throws {
      var settings = ModelServer.Settings()
      settings.host = host
      settings.port = port
      settings.key = try apiKeyFile.map(Self.key)
      settings.hosts = Set(allowHost.map { $0.lowercased() })
      settings.origins = Set(allowOrigin)
      settings.grace = .seconds(grace)
      settings.limits = limits.limits
      return settings
    }
  }

  /// The key in a file that nobody else can read.
  private static func key(_ path: String) throws -> [UInt8] {
    var status = stat()
    guard stat(path, &status) == 0 else { throw FileError("cannot read \(path): there is no such file") }
    guard status.st_mode & S_IFMT != S_IFDIR else { throw FileError("cannot read \(path): it is a folder") }
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

extension LimitOptions {
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
