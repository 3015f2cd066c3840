import ArgumentParser
import EsoLM
import Files
import Foundation
import Prompts
import Runs
import Tool

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

  @Option(
    help: ArgumentHelp(
      "Ends a text before this one, behind all that is given; can be named several times.", valueName: "text"))
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
    /// The option that it comes from, or where it stands in a file of prompts.
    var place: String
    var isFromFile = false
  }

  /// The texts that are asked for: at least one.
  ///
  /// - Throws: an error that names the file and the line, or the option.
  func read() throws -> [Prompt] {
    if let prompts { return try lines(of: prompts) }
    if let template {
      let text = try text(template)
      return [Prompt(template: try asUsageOfTemplate { try PromptTemplate(text) }, place: "--template")]
    }
    let place = suffix == nil ? "--prompt" : prompt == nil ? "--suffix" : "--prompt or --suffix"
    guard prompt != nil || suffix != nil else { return [Prompt(place: place)] }
    return [
      Prompt(
        template: PromptTemplate(prompt: try text(prompt ?? ""), suffix: try text(suffix ?? ""), hole: maxTokens),
        place: place)
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
    let prompt: String?
    let suffix: String?
    let template: String?
    let maxTokens: Int?
    /// Fields that mean nothing here.
    let others: [String]

    enum CodingKeys: String, CodingKey, CaseIterable {
      case prompt, suffix, template
      case maxTokens = "max_tokens"
    }

    init(from decoder: any Decoder) throws {
      let fields = try decoder.container(keyedBy: CodingKeys.self)
      prompt = try fields.decodeIfPresent(String.self, forKey: .prompt)
      suffix = try fields.decodeIfPresent(String.self, forKey: .suffix)
      template = try fields.decodeIfPresent(String.self, forKey: .template)
      // As a number of any kind, so that one which does not fit is named.
      maxTokens = try fields.decodeIfPresent(Double.self, forKey: .maxTokens).map { number in
        let count = Int(exactly: number)
        guard let count, (1...PromptTemplate.longestHole).contains(count) else {
          let found = count.map { "\($0)" } ?? "\(number)"
          throw FileError("field 'max_tokens' is \(found), expected 1 to \(PromptTemplate.longestHole)")
        }
        return count
      }
      let known = Set(CodingKeys.allCases.map(\.rawValue))
      others = try decoder.container(keyedBy: Field.self).allKeys.map(\.stringValue).filter { !known.contains($0) }
    }

    private struct Field: CodingKey {
      let stringValue: String
      var intValue: Int? { nil }
      init(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }
  }

  private func lines(of path: String) throws -> [Prompt] {
    let lines = try JSONLinesFile.read(Line.self, from: path).values
    guard !lines.isEmpty else { throw FileError("\(path): expected at least one JSON line with a prompt") }
    var noted: Set<String> = []
    return try lines.map { number, line in
      let place = "\(path), line \(number)"
      for field in line.others.sorted() where noted.insert(field).inserted {
        printError(
          "esolm: note: \(place): field '\(field)' is none of prompt, suffix, template and max_tokens: ignored")
      }
      switch (line.template, line.prompt, line.suffix) {
      case (_?, nil, nil) where line.maxTokens != nil:
        throw FileError("\(place): field 'max_tokens' goes with prompt or suffix; holes of a template say their own")
      case (let template?, nil, nil):
        do {
          return Prompt(template: try PromptTemplate(template), place: place, isFromFile: true)
        } catch {
          throw FileError("\(place): \(error)")
        }
      case (nil, let prompt, let suffix) where prompt != nil || suffix != nil:
        return Prompt(
          template: PromptTemplate(prompt: prompt ?? "", suffix: suffix ?? "", hole: line.maxTokens ?? maxTokens),
          place: place, isFromFile: true)
      default: throw FileError("\(place): expected prompt, suffix or both, or template alone")
      }
    }
  }
}
