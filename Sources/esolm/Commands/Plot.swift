import ArgumentParser
import Files
import Foundation
import Reports
import Runs
import Tool

struct Plot: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plot",
    abstract: "Draw how runs were trained: loss and perplexity over steps, tokens and hours.",
    discussion: """
      Losses are means over a 200th of a run's steps. A file ending in .html is a page on which values are told when they \
      are pointed at, with the command that made it; .svg is a picture; .png is that picture by rsvg-convert, which must be \
      there (Debian: librsvg2-bin).

        esolm plot runs/first runs/second --out training.html
      """)

  @Argument(help: ArgumentHelp("Run folders.", valueName: "run"))
  var runs: [String]

  @Option(help: ArgumentHelp("The file to write, ending in .svg, .png or .html.", valueName: "file"))
  var out: String = "training.html"

  private enum Form: String { case svg, png, html }

  private var form: Form? { Form(rawValue: URL(fileURLWithPath: out).pathExtension.lowercased()) }

  func validate() throws {
    guard form != nil else { throw ValidationError("--out is \(out), expected a name ending in .svg, .png or .html") }
    let named = Dictionary(grouping: runs) { URL(fileURLWithPath: $0).standardizedFileURL.path }
    if let twice = named.values.first(where: { $0.count > 1 }) {
      throw ValidationError("a run is named twice: \(twice.joined(separator: ", "))")
    }
  }

  func run() throws {
    let logs = try runs.map { path -> (name: String, records: [TrainingRecord]) in
      guard FileManager.default.fileExists(atPath: "\(path)/config.json") else {
        throw FileError("\(path) is no run folder: there is no config.json in it")
      }
      let lines = try TrainingRecord.lines(of: path)
      if let first = lines.badLines.first {
        printError(
          "esolm: note: \(path)/metrics.jsonl:\(first): no measurement; left out, as all such lines "
            + "(\(lines.badLines.count))")
      }
      return (path, lines.records)
    }
    // Where nothing was validated there is nothing to draw of it.
    let charts = Measure.all.flatMap { measure in Axis.all.map { chart(logs, measure, $0) } }.filter { !$0.isEmpty }
    if let log = logs.first(where: { log in Measure.all.allSatisfy { chart([log], $0, Axis.all[0]).isEmpty } }) {
      throw FileError(
        "\(log.name)/metrics.jsonl holds no measurements: a training notes every tenth step, and those that validate")
    }
    switch form! {
    case .html:
      var page = HTMLPage("Training", methods: runs)
      page.add(figures: charts)
      page.add(recipe: Recipe(data: runs.joined(separator: ", "), seed: nil, device: .cpu))
      page.add(data: Dictionary(uniqueKeysWithValues: logs.map { ($0.name, $0.records) }))
      try AtomicFile.write(Data(page.html.utf8), to: out)
    case .svg: try AtomicFile.write(Data(Drawing(charts, columns: Axis.all.count).svg.utf8), to: out)
    case .png: try AtomicFile.write(try png(Drawing(charts, columns: Axis.all.count).svg), to: out)
    }
  }

  private struct Axis: Sendable {
    let label: String
    let value: @Sendable (TrainingRecord) -> Double?

    static let all = [
      Axis(label: "step") { Double($0.step) },
      Axis(label: "tokens, millions") { $0.tokens.map { Double($0) / 1e6 } },
      Axis(label: "hours") { $0.seconds.map { $0 / 3600 } },
    ]
  }

  private struct Measure: Sendable {
    let title: String
    let label: String
    let value: @Sendable (TrainingRecord) -> Double?

    static let all = [
      Measure(title: "Training loss", label: "nats a token") { $0.loss?.value },
      Measure(title: "Validation", label: "perplexity") { $0.validationPerplexity?.value },
    ]
  }

  private func chart(
    _ logs: [(name: String, records: [TrainingRecord])], _ measure: Measure, _ axis: Axis
  ) -> LineChart {
    let series = logs.map { log in
      let points = log.records.compactMap { record -> LineChart.Point? in
        guard let x = axis.value(record), let y = measure.value(record) else { return nil }
        return LineChart.Point(x: x, y: y)
      }
      return LineChart.Series(log.name, method: log.name, means(points))
    }
    return LineChart(
      "\(measure.title) over \(axis.label)", x: .number(axis.label), y: .logarithmic(measure.label), series: series)
  }

  /// At most 200 points, each the mean of those around it.
  private func means(_ points: [LineChart.Point]) -> [LineChart.Point] {
    let size = (points.count + 199) / 200
    return stride(from: 0, to: points.count, by: max(1, size)).map { first in
      let part = points[first..<min(first + size, points.count)]
      let count = Double(part.count)
      return LineChart.Point(x: part.reduce(0) { $0 + $1.x } / count, y: part.reduce(0) { $0 + $1.y } / count)
    }
  }

  /// The picture in twice its size, by librsvg's program.
  private func png(_ svg: String) throws -> Data {
    let folder = FileManager.default.temporaryDirectory.appending(path: "esolm-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let unfinished = Unfinished.begin { try? FileManager.default.removeItem(at: folder) }
    defer {
      try? FileManager.default.removeItem(at: folder)
      Unfinished.end(unfinished)
    }
    let (source, result) = (folder.appending(path: "plot.svg"), folder.appending(path: "plot.png"))
    try Data(svg.utf8).write(to: source)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["rsvg-convert", "--zoom", "2", "--output", result.path, source.path]
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0, let data = try? Data(contentsOf: result) else {
      throw FileError(
        "cannot write \(out): rsvg-convert is not there or failed (Debian: librsvg2-bin); name an .svg or .html instead"
      )
    }
    return data
  }
}
