import ArgumentParser
import CommandSupport
import EsoLM
import Foundation
import Runs
import Testing
import Tokenizers
import Torch
import Training
import esolm

@Suite("What the documentation says")
struct ReadmeTests {
  @Test func theLibrarysExampleIsTheOneThatIsCompiledHere() throws {
    let shown = try Markdown(name: "README.md").code("swift").filter { !$0.isEmpty }
    let source = try String(contentsOfFile: "\(Markdown.root)/Tests/ReadmeTests/LibraryExample.swift", encoding: .utf8)
    let compiled = source.replacingOccurrences(of: "opening: folder", with: #"opening: "runs/first""#)
      .components(separatedBy: "\n")
      .filter { !$0.isEmpty && !$0.hasPrefix("///") && !$0.hasPrefix("func ") && $0 != "}" }
      .map { $0.hasPrefix("  ") ? String($0.dropFirst(2)) : $0 }
    #expect(shown == compiled)
  }

  @Test func theLibrarysExampleRuns() throws {
    let tokenizer = ByteTokenizer()
    let model = TransformerConfiguration(
      vocabularySize: tokenizer.modelVocabularySize, maskToken: tokenizer.modelMaskToken, hiddenSize: 8, numBlocks: 1,
      numHeads: 2, conditioningSize: 4, dropout: 0)
    let configuration = RunConfiguration(
      method: MethodConfiguration(alpha0: 0.5, length: 32), model: model,
      data: DataConfiguration(source: .toyLanguage(sequences: 2, seed: 0)), training: TrainingConfiguration())
    let state = try TrainingState(startingFrom: TransformerWeights(model, seed: 0))
    let run = try RunFolder(
      creating: "\(Scratch.folder())/run", configuration: configuration, tokenizer: tokenizer, state: state)
    try libraryExample(run.path)
  }

  /// Commands as a reader would type them, in blocks and within sentences.
  private static let commands: [(place: String, line: String)] = Markdown.all.flatMap { file in
    let lines = (try? file.code("").map { $0.trimmingCharacters(in: .whitespaces) } + file.spans()) ?? []
    return lines.filter { $0.hasPrefix("esolm ") }.map { (file.name, $0) }
  }

  @Test func thereAreCommandsToLookAt() {
    #expect(Self.commands.filter { $0.place == "README.md" }.count > 30)
  }

  @Test(arguments: Markdown.all) func commandsAreOnesThatTheToolUnderstands(file: Markdown) {
    for (place, line) in Self.commands where place == file.name {
      let arguments = Self.words(of: line).dropFirst().map { Self.letters[$0] ?? $0 }
      do {
        _ = try EsoLMCommand.parseAsRoot(Array(arguments))
      } catch {
        // Help is no error.
        let message = "\(place): \(line): \(EsoLMCommand.message(for: error))"
        #expect(EsoLMCommand.exitCode(for: error) == .success, "\(message)")
      }
    }
  }

  /// Letters that stand for any number in sentences, and one that they may be.
  private static let letters = ["N": "300", "A:B": "0:1"]

  /// A line as a shell takes it apart; what is optional is taken, a comment is not.
  static func words(of line: String) -> [String] {
    var (words, word, quote): ([String], String?, Character?) = ([], nil, nil)
    for character in line {
      if let open = quote {
        if character == open { quote = nil } else { word = (word ?? "") + String(character) }
      } else if character == "\"" || character == "'" {
        (quote, word) = (character, word ?? "")
      } else if character == " " {
        if let done = word { words.append(done) }
        word = nil
      } else if character == "#", word == nil {
        break
      } else {
        word = (word ?? "") + String(character)
      }
    }
    if let word { words.append(word) }
    return words.map { word in
      let isHole = word.contains("[[")
      return word.hasPrefix("[") && !isHole
        ? String(word.dropFirst()) : word.hasSuffix("]") && !isHole ? String(word.dropLast()) : word
    }
  }

  @Test func linesAreTakenApartAsAShellDoes() {
    #expect(Self.words(of: "esolm a 'b c' --d \"e [[5]]\" x  # no") == ["esolm", "a", "b c", "--d", "e [[5]]", "x"])
    #expect(Self.words(of: "esolm eval RUN [--data FILE]") == ["esolm", "eval", "RUN", "--data", "FILE"])
  }
}
