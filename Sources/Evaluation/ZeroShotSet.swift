import Corpora
import Foundation

/// The seven sets of text that the paper measures perplexity on without training on them.
public enum ZeroShotSet: String, CaseIterable, Sendable, Codable {
  /// Penn Treebank.
  case ptb
  /// WikiText-103.
  case wikitext
  /// One Billion Words.
  case lm1b
  /// LAMBADA.
  case lambada
  /// AG News.
  case agNews = "ag_news"
  /// Papers of PubMed.
  case pubmed
  /// Papers of arXiv.
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

  /// How its file is read: a document on each line, or one of each JSON object.
  public static func source(at path: String) -> CorpusSource {
    CorpusSource(paths: [path], format: .byFile(documents: .line))
  }
}
