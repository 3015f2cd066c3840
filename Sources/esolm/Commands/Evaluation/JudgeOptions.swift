import ArgumentParser
import Corpora
import EsoLM
import Evaluation
import Files
import Foundation
import Runs
import Tokenizers
import Tool
import Torch

/// Who judges text.
struct JudgeOptions: ParsableArguments {
  static let toyLanguage = "toy-language"

  @Option(
    help: ArgumentHelp(
      """
      Who judges: a Hugging Face folder of a GPT-2 (config.json, its weights and its tokenizer), a run folder, \
      read from left to right, or '\(toyLanguage)', the demo language's own rules.
      """, valueName: "folder"))
  var judge: String

  @Option(help: ArgumentHelp("Where the judge's tokenizer is. (default: in its folder)", valueName: "folder or file"))
  var judgeTokenizer: String?

  @Option(help: "Windows of one call of the judge.")
  var judgeBatch = 8

  func validate() throws { try require("judge-batch", judgeBatch, in: 1...(1 << 16)) }

  func load(device: Device) throws -> LoadedJudge {
    try LoadedJudge(judge, tokenizer: judgeTokenizer, batch: judgeBatch, device: device)
  }
}

/// A judge with its tokenizer.
struct LoadedJudge {
  let name: String
  let judge: any Judge
  let tokenizer: any Tokenizer
  let batch: Int

  init(_ name: String, tokenizer tokenizerPath: String?, batch: Int, device: Device) throws {
    self.name = name
    self.batch = batch
    guard name != JudgeOptions.toyLanguage else {
      (judge, tokenizer) = (ToyLanguageJudge(), ToyLanguage.tokenizer)
      return
    }
    let isRun = FileManager.default.fileExists(atPath: "\(name)/ema.safetensors")
    if isRun {
      let run = try RunFolder(opening: name)
      let likelihood = Likelihood(try run.network(device: device), method: run.method)
      guard likelihood.isExact else {
        throw FileError(
          "\(name) is a run of \(run.configuration.method.algorithm.rawValue), expected ar or esolm-b to judge")
      }
      let leftToRight = try LeftToRightJudge(
        likelihood, contextLength: run.configuration.method.length, endOfText: run.tokenizer.endOfText,
        vocabularySize: run.tokenizer.vocabularySize)
      judge = AutoregressiveJudge(leftToRight) ?? leftToRight
      tokenizer = run.tokenizer
    } else {
      judge = try GPT2(folder: name, device: device)
      tokenizer = try TokenizerFile.tokenizer(at: tokenizerPath ?? name)
    }
    guard tokenizer.vocabularySize <= judge.vocabularySize else {
      throw FileError(
        "\(tokenizerPath ?? name): the tokenizer has \(tokenizer.vocabularySize) tokens, expected at most the judge's "
          + "\(judge.vocabularySize)")
    }
  }

  /// Gen. PPL of samples in the judge's tokens.
  func perplexity(of samples: [[Int32]]) throws -> GenerativePerplexity {
    var perplexity = GenerativePerplexity()
    var line = ShareLine()
    defer { line.clear() }
    try perplexity.add(samples, judge: judge, batchSize: batch) { line.show("judging", $0) }
    return perplexity
  }

  /// Features of texts in the judge's tokens, [texts, size] on the CPU. Texts without a token are left out.
  func features(of texts: [[Int32]], what: String) throws -> Tensor {
    guard let judge = judge as? any FeatureJudge else {
      throw ValidationError(
        "--judge is \(name), expected a folder of a GPT-2 or an ar run, whose features MAUVE compares")
    }
    let texts = texts.filter { !$0.isEmpty }.map { Array($0.prefix(judge.contextLength)) }
    guard !texts.isEmpty else { throw FileError("\(what): no text has a token of the judge") }
    var line = ShareLine()
    defer { line.clear() }
    var parts: [Tensor] = []
    for first in stride(from: 0, to: texts.count, by: batch) {
      let end = min(first + batch, texts.count)
      parts.append(judge.features(of: Array(texts[first..<end])).to(.cpu))
      line.show("features of \(what)", Double(end) / Double(texts.count))
    }
    return .concatenated(parts)
  }
}
