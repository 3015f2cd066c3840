import ArgumentParser
import Checkpoints
import EsoLM
import Files
import Foundation
import Prompts

/// What is given of the texts to be written.
struct PromptOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The beginning of the text; @FILE reads it from a file.", valueName: "text"))
  var prompt: String?

  @Option(help: ArgumentHelp("The end of the text; @FILE reads it from a file.", valueName: "text"))
  var suffix: String?

  @Option(
    help: ArgumentHelp(
      """
      A text with holes: [[5]] is one of five tokens, [[..20]] one of at most twenty; \\[[ stands for [[ itself. \
      @FILE reads it from a file.
      """, valueName: "text"))
  var template: String?

  @Option(
    help: ArgumentHelp(
      "JSON lines with prompt, suffix and max_tokens, or template, each.", valueName: "file"))
  var prompts: String?

  @Option(help: "The most tokens to write after a prompt, or before a suffix. (default: what the length leaves)")
  var maxTokens: Int?

  @Option(help: ArgumentHelp("Ends a text before this one; can be named several times.", valueName: "text"))
  var stop: [String] = []

  @Flag(help: "Go on behind the end-of-text token, where texts with given parts end otherwise.")
  var ignoreEndOfText = false

  @Option(
    help: "Eso-LM (B): in which order the network sees given tokens, ascending or random as in training.")
  var contextOrder = GenerationRequest.ContextOrder.ascending

  func validate() throws {
    let ways = [
      ("--prompt or --suffix", prompt != nil || suffix != nil), ("--template", template != nil),
      ("--prompts", prompts != nil),
    ]
    let named = ways.filter(\.1).map(\.0)
    if named.count > 1 { throw ValidationError("\(named.joined(separator: " and ")) exclude each other") }
    try require("max-tokens", maxTokens, in: 1...PromptTemplate.longestHole)
    if maxTokens != nil, prompt == nil, suffix == nil, prompts == nil {
      throw ValidationError(
        "--max-tokens goes with --prompt, --suffix or --prompts; holes of a --template say their own")
    }
    if stop.contains("") { throw ValidationError("--stop is empty, expected a text of at least one character") }
    if let template, !template.hasPrefix("@") { _ = try asUsageOfTemplate { try PromptTemplate(template) } }
  }

  private func asUsageOfTemplate<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let error as PromptTemplate.SyntaxError { throw ValidationError("--\(error)") }
  }

  /// One text to be written, as it was asked for.
  struct Prompt {
    /// nil where nothing is given.
    var template: PromptTemplate?
    /// Where it stands in a file of prompts.
    var place: String?
  }

  /// The texts that are asked for: at least one.
  ///
  /// - Throws: an error that names the file and the line, or the option.
  func read() throws -> [Prompt] {
    if let prompts { return try lines(of: prompts) }
    if let template {
      let text = try text(template)
      return [Prompt(template: try asUsageOfTemplate { try PromptTemplate(text) })]
    }
    guard prompt != nil || suffix != nil else { return [Prompt()] }
    return [
      Prompt(template: PromptTemplate(prompt: try text(prompt ?? ""), suffix: try text(suffix ?? ""), hole: maxTokens))
    ]
  }

  private func text(_ argument: String) throws -> String {
    guard argument.hasPrefix("@") else { return argument }
    let path = String(argument.dropFirst())
    let data = try MappedFile.read(path)
    guard data.count <= 1 << 24 else {
      throw FileError("\(path) has \(data.count) bytes, expected at most \(1 << 24) for a prompt")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw FileError("\(path) is no valid UTF-8 text; a prompt must be")
    }
    return text.hasPrefix("\u{FEFF}") ? String(text.dropFirst()) : text
  }

  private struct Line: Decodable {
    var prompt: String?
    var suffix: String?
    var template: String?
    var maxTokens: Int?

    enum CodingKeys: String, CodingKey {
      case prompt, suffix, template
      case maxTokens = "max_tokens"
    }
  }

  private func lines(of path: String) throws -> [Prompt] {
    let lines = try JSONLinesFile.read(Line.self, from: path).values
    guard !lines.isEmpty else { throw FileError("\(path): expected at least one JSON line with a prompt") }
    return try lines.map { number, line in
      let place = "\(path), line \(number)"
      if let count = line.maxTokens, !(1...PromptTemplate.longestHole).contains(count) {
        throw FileError("\(place): field 'max_tokens' is \(count), expected 1 to \(PromptTemplate.longestHole)")
      }
      switch (line.template, line.prompt, line.suffix) {
      case (let template?, nil, nil):
        do {
          return Prompt(template: try PromptTemplate(template), place: place)
        } catch {
          throw FileError("\(place): \(error)")
        }
      case (nil, let prompt, let suffix) where prompt != nil || suffix != nil:
        return Prompt(
          template: PromptTemplate(prompt: prompt ?? "", suffix: suffix ?? "", hole: line.maxTokens ?? maxTokens),
          place: place)
      default: throw FileError("\(place): expected prompt, suffix or both, or template alone")
      }
    }
  }
}
