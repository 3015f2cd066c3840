import Corpora
import Files
import Foundation

/// The seven sets of text that the paper measures perplexity on without training on them.
public enum ZeroShotSet: String, CaseIterable, Sendable, Codable {
  case ptb
  case wikitext
  case lm1b
  case lambada
  case agNews = "ag_news"
  case pubmed
  case arxiv

  /// As tables name it.
  public var title: String {
    switch self {
    case .ptb: "PTB"
    case .wikitext: "WikiText"
    case .lm1b: "LM1B"
    case .lambada: "LAMBADA"
    case .agNews: "AG News"
    case .pubmed: "PubMed"
    case .arxiv: "arXiv"
    }
  }

  /// The files of a folder that may hold it: JSON lines with a field 'text', a document each, or a text file with a
  /// document on each line.
  public var fileNames: [String] { ["\(rawValue).jsonl", "\(rawValue).txt"] }

  /// Its file in a folder; nil if there is none.
  public func path(in folder: String) -> String? {
    fileNames.map { "\(folder)/\($0)" }.first { FileManager.default.fileExists(atPath: $0) }
  }

  /// The documents of a file.
  ///
  /// - Throws: an error naming the file, and the line where it is no JSON object with a text.
  public static func documents(of path: String) throws -> [String] {
    if path.hasSuffix(".jsonl") {
      return try JSONLinesFile.read(TextLine.self, from: path).values.map(\.value.text)
    }
    return try TextFile.read(path).split(separator: "\n").map(String.init)
  }
}

/// A line of a `.jsonl` file of texts; its other fields are ignored.
public struct TextLine: Decodable, Sendable {
  public let text: String
}
