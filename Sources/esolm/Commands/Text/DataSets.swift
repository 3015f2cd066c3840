import ArgumentParser
import Corpora
import Tool

struct ListDataSets: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "datasets",
    abstract: "List the data sets of the paper and where to get their files.",
    discussion: "Nothing is downloaded: put the files into a folder and name it by --data-dir.")

  @Flag(help: "Print them as JSON.")
  var json = false

  private struct Entry: Encodable {
    var name: String
    var about: String
    var origin: String
    var tokenizer: String
    var length: Int
    var packing: String
    var splits: [String]
    var evaluated: String
  }

  func run() throws {
    if json {
      return try printJSON(
        PaperDataSet.all.map {
          Entry(
            name: $0.name, about: $0.about, origin: $0.origin, tokenizer: $0.vocabulary.rawValue, length: $0.length,
            packing: $0.packing.rawValue, splits: $0.splits.map(\.rawValue), evaluated: $0.evaluated.rawValue)
        })
    }
    for preset in PaperDataSet.all {
      try printOutput(
        """
        \(preset.name)
          \(preset.about)
          files: \(preset.origin)
          paper: tokenizer \(preset.vocabulary.rawValue), length \(preset.length), \(preset.packing.rawValue)

        """)
    }
  }
}
