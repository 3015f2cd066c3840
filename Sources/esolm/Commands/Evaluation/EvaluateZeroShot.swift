import ArgumentParser
import Corpora
import EsoLM
import Evaluation
import Files
import Foundation
import Reports
import Runs
import Tool

struct EvaluateZeroShot: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "zero-shot",
    abstract: "Measure perplexity on the paper's seven sets of text, none of them trained on.",
    discussion: """
      The folder holds for each set NAME.jsonl (JSON lines with a field 'text', a document each) or NAME.txt (a document \
      on each line), with NAME one of \(ZeroShotSet.allCases.map(\.rawValue).joined(separator: ", ")); or a folder NAME \
      with the set's files as they come (see esolm datasets), which are then detokenised as the paper does. Sets without \
      a file are listed as missing, and sets with less text than one sequence as too short; it is an error only if nothing \
      can be measured. Documents are packed, each with an end of text after it, \
      or as the set's preset says.
      """)

  @OptionGroup var options: LikelihoodOptions

  @Option(help: ArgumentHelp("The folder with the sets' files.", valueName: "folder"))
  var dataDir: String

  @Option(help: "How often to draw the noise of each sequence.")
  var draws = 1

  @OptionGroup var bounds: BoundOptions

  @Flag(help: "Print results as JSON.")
  var json = false

  func validate() throws {
    try require("draws", draws, in: 1...(1 << 20))
  }

  func run() throws {
    let (run, likelihood) = try options.open()
    let orders = bounds.orders
    if orders != nil { try run.requireExact(likelihood, for: "orders") }
    let results = try Self.measure(
      run, dataDir: dataDir, maxSequences: bounds.maxSequences, orders: orders, draws: draws
    ) { blocks in
      try PerplexityEvaluation(likelihood, blocks: blocks, batchSize: options.batch, seed: options.seed)
    }
    if json {
      let report = Report(run: options.folder, alpha0: likelihood.method.diffusedShare, draws: draws, sets: results)
      return try printJSON(Rebuildable(report, try options.recipe(data: dataDir, of: run)))
    }
    var table = Table(["", "NELBO ppl", "± error"] + (orders.map { ["exact ppl, K = \($0)"] } ?? []) + ["sequences"])
    for result in results {
      func number(_ value: Double?) -> String { value.map { Format.number($0, digits: 3) } ?? "–" }
      table.add(
        [result.title, number(result.perplexity), number(result.perplexityError)]
          + (orders == nil ? [] : [number(result.exactPerplexity)])
          + [result.problem ?? result.sequences.map { "\($0)" } ?? "missing"])
    }
    try printOutput("zero-shot perplexity, \(run.methodText(likelihood.method))\n\(table.text)")
  }

  struct Report: Encodable {
    var run: String
    var alpha0: Double?
    var draws: Int
    var sets: [Result]
  }

  struct Result: Encodable {
    var name: String
    var title: String
    /// nil, like all that follows, where the set has no file.
    var path: String?
    /// Why the set was not measured, though it has a file.
    var problem: String?
    var sequences: Int?
    var perplexity: Double?
    /// The standard error of `perplexity`.
    var perplexityError: Double?
    var natsPerToken: Double?
    var orders: Int?
    var exactPerplexity: Double?
  }

  /// Where a set is: its file, else a folder of its published files; nil if there is neither.
  private static func path(of set: ZeroShotSet, in folder: String) -> String? {
    if let path = set.path(in: folder) { return path }
    let path = "\(folder)/\(set.rawValue)"
    return Folder.exists(path) ? path : nil
  }

  private static func blocks(_ set: ZeroShotSet, at path: String, _ run: RunFolder) throws -> TokenBlocks {
    // A page in place of a file that was to be fetched would be measured as if it were the set.
    if !Folder.exists(path) {
      var head: [UInt8] = []
      try ByteStream(path).read(512, into: &head)
      if FileKind(beginning: head) == .html {
        throw FileError("\(path): it is \(FileKind.html.name), expected the documents of \(set.title)")
      }
    }
    do {
      return try packed(set, at: path, run)
    } catch let error as FileError where "\(error)".contains("--") {
      throw FileError(
        "\(error) (eval zero-shot has no such option: expected \(set.rawValue).jsonl with a field 'text' on each line, or "
          + "\(set.rawValue).txt with a document on each)")
    }
  }

  private static func packed(_ set: ZeroShotSet, at path: String, _ run: RunFolder) throws -> TokenBlocks {
    var packing = Packing.continuous
    var corpus = CorpusConfiguration(source: ZeroShotSet.source(at: path))
    if Folder.exists(path) {
      let preset = try PaperDataSet.named(set.rawValue)
      corpus.source = try preset.source(preset.evaluated, in: absolutePath(path))
      (corpus.appendsEndOfText, packing) = (preset.appendsEndOfText, preset.packing)
    }
    return try TokenBlocks(
      corpus.tokenFile(of: corpus.source, tokenizer: run.tokenizer, progress: TokenizationView.show()), name: path,
      packing: packing, length: run.configuration.method.length, tokenizer: run.tokenizer)
  }

  /// Throws, naming the files, unless a folder holds one of the sets.
  static func requireSets(in folder: String) throws {
    guard !ZeroShotSet.allCases.contains(where: { path(of: $0, in: folder) != nil }) else { return }
    let names = ZeroShotSet.allCases.map { "\($0.rawValue).jsonl" }.joined(separator: ", ")
    throw FileError("\(folder) holds none of \(names) (or the same as .txt)")
  }

  /// All sets, the missing ones too.
  ///
  /// - Throws: an error naming the files if there is none of them, one that cannot be read, or all are too short.
  static func measure(
    _ run: RunFolder, dataDir: String, maxSequences: Int?, orders: Int?, draws: Int,
    evaluation: (TokenBlocks) throws -> PerplexityEvaluation
  ) throws -> [Result] {
    try requireSets(in: dataDir)
    var shortage: CorpusError?
    // All files are read before anything is computed, so that a bad one shows at once.
    let sets = try ZeroShotSet.allCases.map { set in
      var result = Result(name: set.rawValue, title: set.title, path: path(of: set, in: dataDir))
      guard let path = result.path else { return (set, result, TokenBlocks?.none) }
      do {
        return (set, result, try blocks(set, at: path, run).first(maxSequences ?? .max))
      } catch let error as CorpusError {
        shortage = shortage ?? error
        result.problem = "too short"
        if case .tooFewTokens(_, let found, let length, _) = error {
          result.problem = "too short: \(found) tokens, expected at least \(length)"
        }
        return (set, result, nil)
      }
    }
    if let shortage, sets.allSatisfy({ $0.2 == nil }) { throw shortage }
    var line = ShareLine()
    defer { line.clear() }
    // A draw and an order take about as long, and a set as long as it has sequences.
    let all = Double(sets.reduce(0) { $0 + ($1.2?.count ?? 0) } * (draws + (orders ?? 0)))
    var done = 0.0
    func progress(_ set: ZeroShotSet, of cost: Int) -> (Double) -> Void {
      let before = done
      done += Double(cost)
      return { line.show("zero-shot", (before + $0 * Double(cost)) / all, set.title) }
    }
    return try sets.map { set, result, blocks in
      var result = result
      guard let blocks else { return result }
      let evaluation = try evaluation(blocks)
      let nelbo = try evaluation.nelbo(draws: draws, progress: progress(set, of: blocks.count * draws)).checked()
      result.sequences = blocks.count
      result.perplexity = nelbo.perplexity
      result.perplexityError = nelbo.standardError.map { $0 * nelbo.perplexity }
      result.natsPerToken = nelbo.nats
      if let orders {
        result.orders = orders
        result.exactPerplexity =
          evaluation.exact(orders: orders, progress: progress(set, of: blocks.count * orders))
          .last?.estimate.perplexity
      }
      return result
    }
  }
}
