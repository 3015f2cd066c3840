import CommandSupport
import Corpora
import Files
import Foundation
import Randomness
import TestSupport
import Testing
import Tokenizers

/// Random damage to all that text is read from. Whatever comes of it, reading ends, with documents or an error.
///
/// `ESOLM_FUZZ_INPUTS` sets how many inputs there are, `ESOLM_FUZZ_SEED` the seed.
@Suite("Fuzzing of text")
struct ReadingFuzzTests {
  private static func setting(_ name: String, _ usual: Int) -> Int {
    ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? usual
  }

  private static let originals: [[UInt8]] = [
    Array("{\"id\": 1, \"text\": \"a \\u00e9\\ud83d\\ude00 b\"}\r\n{\"text\": [\"x\", \"y\"], \"n\": NaN}\n".utf8),
    Array("\u{FEFF}{\"text\": \"a\", \"text\": \"b\", \"m\": [[{}], -1.5e3, null]}\r{\"text\": \"日本\"}\r".utf8),
    Array("id,text\n1,\"a \"\"b\"\"\nc, d\"\n2,é\r\n\n3,x".utf8), Array("\u{FEFF}text\tid\rx\t1\r".utf8),
    Array("Some text – with 日本語 and 😀.\n\n = Title = \n \nMore. <|end|> Words\r\nand lines".utf8),
    [0xFF, 0xFE] + Array("text".utf16).flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] },
    Array(Data(base64Encoded: "H4sIAAAAAAACA6tWKkmtKFGyUlDKz0tVquWqhvNLyvOBfADRW2nVIAAAAA==")!),
    Array("<!DOCTYPE html>".utf8), Array("version https://git-lfs.github.com/spec/v1\n".utf8),
    Array("BZh91AY&SY".utf8), Array("ESOLMTOK".utf8) + [2, 0, 0, 0, 9, 0, 0, 0],
  ]

  private static let names = ["a.jsonl", "a.json", "a.csv", "a.txt", "a", "a.json.gz", "a.txt.gz"]
  private static let rules: [CorpusSource.Documents] = [
    .file, .line, .row, .separated(by: "\n\n"), .separated(by: "日"),
  ]

  @Test func readingEndsWithDocumentsOrAnError() throws {
    let tokenizer = try TokenizerFile.tokenizer(at: Fixtures.path(of: "tokenizers"))
    let folder = try Scratch.folder()
    var (read, characters) = (0, 0)
    let inputs = Self.setting("ESOLM_FUZZ_INPUTS", 3000)
    for round in 0..<inputs {
      var generator = CounterGenerator(
        seed: UInt64(Self.setting("ESOLM_FUZZ_SEED", 1)), stream: .toyLanguage, major: round)
      func pick(_ limit: Int) -> Int { Int(generator.next() % UInt64(limit)) }
      let bytes = damaged(Self.originals[pick(Self.originals.count)], pick)
      let path = "\(folder)/\(Self.names[pick(Self.names.count)])"
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      let rule = Self.rules[pick(Self.rules.count)]
      let formats: [CorpusSource.Format] = [
        .byFile(documents: rule), .byFile(documents: .file), .text(documents: rule), .jsonLines(field: "text"),
        .csv(columns: ["2", "1"], hasHeader: false), .csv(columns: ["text"], hasHeader: true),
      ]
      let source = CorpusSource(
        paths: [path], format: formats[pick(formats.count)],
        detokenizer: pick(8) == 0 ? Detokenizer.allCases[pick(Detokenizer.allCases.count)] : nil,
        skipsBadLines: pick(2) == 0, takesAnyBytes: pick(8) == 0 ? true : nil)
      do {
        let documents = try source.documents(first: 100)
        read += 1
        characters += documents.reduce(0) { $0 + $1.utf8.count }
        // What is read is valid, and no more than what there was, which gzip may blow up a thousandfold.
        #expect(documents.reduce(0) { $0 + $1.utf8.count } <= 4096 * bytes.count)
        if pick(50) == 0 {
          _ = try CharacterTokenizer(contentsOf: [source])
          _ = try TokenFile.make(at: "\(folder)/t", of: source, tokenizer: tokenizer)
        }
      } catch {
        let text = "\(error)"
        #expect(text.contains(path) && !text.contains("\n") || text.hasPrefix("CSV column"), "\(text)")
      }
      try FileManager.default.removeItem(atPath: path)
    }
    // Damage that is always or never found would test one path only.
    #expect((0.1...0.9).contains(Double(read) / Double(inputs)), "\(read) of \(inputs)")
    #expect(characters > 0)
  }

  private func damaged(_ original: [UInt8], _ pick: (Int) -> Int) -> [UInt8] {
    var bytes = original
    for _ in 0..<pick(4) {
      let place = pick(bytes.count + 1)
      switch pick(7) {
      case 0 where !bytes.isEmpty: bytes[min(place, bytes.count - 1)] = UInt8(pick(256))
      case 1 where !bytes.isEmpty: bytes[min(place, bytes.count - 1)] ^= 1 << pick(8)
      case 2: bytes.insert(contentsOf: [UInt8](repeating: UInt8(pick(256)), count: pick(20)), at: place)
      case 3: bytes.removeSubrange(place..<min(bytes.count, place + pick(10)))
      case 4: bytes.insert(contentsOf: Self.originals[pick(Self.originals.count)].prefix(pick(60)), at: place)
      case 5: bytes.insert(Array("\"\\{}[],:\r\n\0é".utf8)[pick(13)], at: place)
      default: bytes = Array(bytes.prefix(place)) + bytes
      }
    }
    return bytes
  }
}
