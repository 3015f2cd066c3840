import Corpora
import Files
import Foundation
import Tokenizers

/// A recorded case about text: `cases.json` holds sets of texts and what a correct implementation makes of each.
///
/// A set's error is the number of its texts that come out otherwise, and none is allowed.
struct TextCase {
  let folder: String
  private let sets: [(name: String, cases: [JSONValue])]

  init(folder: String) throws {
    self.folder = folder
    let path = "\(folder)/cases.json"
    let data = try MappedFile.read(path)
    guard data.count <= Self.sizeLimit else {
      throw FileError("\(path) has \(data.count) bytes, expected at most \(Self.sizeLimit)")
    }
    let json: JSONValue
    do {
      json = try JSONValue(parsing: data)
    } catch {
      throw FileError("\(path): \(error)")
    }
    guard case .object(let members) = json else { throw FileError("\(path): it is no JSON object") }
    sets = members.compactMap { key, value in value.elements.map { (String(decoding: key, as: UTF8.self), $0) } }
    guard !sets.isEmpty else { throw FileError("\(path): it holds no list of cases") }
  }

  private static let sizeLimit = 64 << 20

  // MARK: Tokenizers

  /// - Parameter vocabularies: the folder with `gpt2` and `bert-base-uncased`, which the cases do not hold themselves.
  func tokenizers(vocabularies: String?) throws -> [ParityResult] {
    try sets.flatMap { name, cases -> [ParityResult] in
      let sources: [String]
      switch name {
      case "own_bpe": sources = ["tokenizer.json", "vocab.json"].map { "\(folder)/\($0)" }
      case "own_wordpiece": sources = ["wordpiece-tokenizer.json", "wordpiece-vocab.txt"].map { "\(folder)/\($0)" }
      case "gpt2", "bert":
        let folderName = name == "bert" ? "bert-base-uncased" : name
        guard let found = vocabulary(folderName, given: vocabularies) else {
          return [
            ParityResult(
              folder: folder, skipping: name, because: "no folder \(folderName); name its parent by --vocabularies")
          ]
        }
        sources = [found]
      default: throw FileError("\(folder)/cases.json: unknown set '\(name)'")
      }
      return try sources.flatMap { source in
        try results("\(name) by \((source as NSString).lastPathComponent)", cases, TokenizerFile.tokenizer(at: source))
      }
    }
  }

  /// Where a vocabulary is: in the given folder, else with the case, beside it, or in `data` beside all cases.
  private func vocabulary(_ name: String, given: String?) -> String? {
    let places = given.map { [$0] } ?? [folder, "\(folder)/..", "\(folder)/../../data"]
    return places.map { "\($0)/\(name)" }.first { FileManager.default.fileExists(atPath: $0) }
  }

  private func results(
    _ name: String, _ cases: [JSONValue], _ tokenizer: any Tokenizer
  ) throws -> [ParityResult] {
    var wrong = (ids: 0, decoded: 0)
    for (index, value) in cases.enumerated() {
      guard case .string(let text)? = value["text"], let ids = value["ids"]?.elements?.map(\.integer),
        case .string(let decoded)? = value["decoded"]
      else {
        throw FileError("\(folder)/cases.json: case \(index) of '\(name)' has no 'text', 'ids' or 'decoded'")
      }
      let found = try tokenizer.encode(utf8: text)
      if found.map(Int.init) != ids { wrong.ids += 1 }
      let expected = ids.map { $0.flatMap(Int32.init(exactly:)) ?? -1 }
      if !tokenizer.decode(expected, keepingSpecialTokens: true).utf8.elementsEqual(decoded) { wrong.decoded += 1 }
    }
    return [
      ParityResult(folder: folder, set: "\(name): ids", of: cases.count, wrong: wrong.ids),
      ParityResult(folder: folder, set: "\(name): decoded", of: cases.count, wrong: wrong.decoded),
    ]
  }

  // MARK: Detokenizers

  func detokenizers() throws -> [ParityResult] {
    try sets.map { name, cases in
      guard let detokenizer = Detokenizer(rawValue: name) else {
        throw FileError("\(folder)/cases.json: unknown set '\(name)'")
      }
      let wrong = try cases.enumerated().count { index, value in
        guard case .string(let text)? = value["text"], case .string(let expected)? = value["expected"] else {
          throw FileError("\(folder)/cases.json: case \(index) of '\(name)' has no 'text' or 'expected'")
        }
        return detokenizer.apply(to: text) != expected
      }
      return ParityResult(folder: folder, set: name, of: cases.count, wrong: wrong)
    }
  }
}
