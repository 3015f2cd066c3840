import EsoLM
import Faults
import Files
import Foundation
import Tokenizers

/// Questions with several endings of which one is right, in the format of HellaSwag (Zellers et al. 2019).
public struct MultipleChoiceItem: Sendable, Equatable, Decodable {
  /// What is given.
  public let context: String
  /// What stands between context and ending.
  public let separator: String
  /// What could follow.
  public let endings: [String]
  /// The index of the right ending.
  public let label: Int

  /// A question by its parts.
  public init(context: String, separator: String = " ", endings: [String], label: Int) {
    self.context = context
    self.separator = separator
    self.endings = endings
    self.label = label
  }

  enum CodingKeys: String, CodingKey {
    case context = "ctx"
    case endings, label
    case activity = "activity_label"
    case first = "ctx_a"
    case second = "ctx_b"
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    func text(_ key: CodingKeys) throws -> String { try container.decode(String.self, forKey: key) }
    let endings = try container.decode([String].self, forKey: .endings)
    let preprocessing = decoder.userInfo[Preprocessing.key] as? Preprocessing
    switch preprocessing ?? .none {
    case .none:
      (context, separator) = (try text(.context), " ")
    case .hellaSwag:
      (context, separator) = HellaSwag.query(
        activity: try text(.activity), first: try text(.first), second: try text(.second))
    }
    self.endings = preprocessing == .hellaSwag ? endings.map(HellaSwag.preprocessed) : endings
    // Some copies of the data write the label as text.
    if let text = try? container.decode(String.self, forKey: .label), let number = Int(text) {
      label = number
    } else {
      label = try container.decode(Int.self, forKey: .label)
    }
  }

  /// What is done to the texts of a file.
  public enum Preprocessing: String, Sendable, CaseIterable, Codable {
    /// Nothing.
    case none
    /// HellaSwag's, as lm-evaluation-harness does it, whose figures are the published ones.
    case hellaSwag = "hellaswag"

    static let key = CodingUserInfoKey(rawValue: "preprocessing")!
  }

  /// Reads a file of one JSON object a line: `{"ctx": "…", "endings": ["…", "…"], "label": 1}`. HellaSwag's preprocessing
  /// takes `activity_label`, `ctx_a` and `ctx_b` in place of `ctx`.
  ///
  /// - Throws: a `FileError` naming file, line and field.
  public static func read(
    _ path: String, preprocessing: Preprocessing = .none, skipBadLines: Bool = false
  ) throws -> JSONLinesFile.Contents<MultipleChoiceItem> {
    let contents = try JSONLinesFile.read(
      MultipleChoiceItem.self, from: path, skipBadLines: skipBadLines, userInfo: [Preprocessing.key: preprocessing]
    ) { try $0.validate() }
    guard !contents.values.isEmpty else { throw FileError("\(path) holds no question") }
    return contents
  }

  /// Throws an error that names the field that is no part of a question.
  func validate() throws {
    guard endings.count >= 2 else {
      throw FileError("field 'endings' has \(endings.count) texts, expected at least 2")
    }
    guard endings.indices.contains(label) else {
      throw FileError("field 'label' is \(label), expected 0 to \(endings.count - 1)")
    }
    guard endings.allSatisfy({ !$0.isEmpty }) else { throw FileError("field 'endings' holds an empty text") }
  }
}

/// Answers questions by the likelihood of each ending given the context.
public struct MultipleChoice {
  /// How endings are scored.
  public let scoring: PassageScoring
  /// What makes tokens of texts.
  public let tokenizer: any Tokenizer
  /// The most tokens that the network is asked about; of a longer context the end is kept.
  public let length: Int

  /// Answers by a run's likelihood.
  ///
  /// - Throws: ``EsoLM/ConfigurationError`` unless the length is at least 1.
  public init(_ scoring: PassageScoring, tokenizer: any Tokenizer, length: Int) throws {
    try ConfigurationError.require(length >= 1, "length", length, expected: "at least 1")
    self.scoring = scoring
    self.tokenizer = tokenizer
    self.length = length
  }

  /// What was found for one question.
  public struct Answer: Sendable, Equatable, Codable {
    /// The index of the right ending.
    public let label: Int
    /// log p of each ending given the context, in nats.
    public let logProbabilities: [Double]
    /// The same over the ending's number of characters.
    public let perCharacter: [Double]

    /// An answer by its parts.
    ///
    /// - Precondition: as many numbers of both kinds, at least one.
    public init(label: Int, logProbabilities: [Double], perCharacter: [Double]) {
      trap(
        unless: !logProbabilities.isEmpty && logProbabilities.count == perCharacter.count,
        "\(logProbabilities.count) endings, \(perCharacter.count) by their length")
      self.label = label
      self.logProbabilities = logProbabilities
      self.perCharacter = perCharacter
    }

    /// The likeliest ending.
    public var choice: Int { Self.best(logProbabilities) }
    /// The likeliest ending for its length: long ones are not held against it.
    public var choicePerCharacter: Int { Self.best(perCharacter) }

    private static func best(_ scores: [Double]) -> Int { scores.indices.max { scores[$0] < scores[$1] }! }
  }

  /// The share of right answers, by both ways to choose.
  public struct Accuracy: Sendable, Equatable, Codable {
    /// How many questions were answered.
    public let questions: Int
    /// The share answered rightly by the likeliest ending.
    public let accuracy: Double
    /// The share answered rightly by the likeliest ending for its length.
    public let accuracyPerCharacter: Double
    /// The standard error of either share, at its own value.
    public let standardError: Double
    /// The standard error of `accuracyPerCharacter`.
    public let standardErrorPerCharacter: Double

    /// The shares of some answers.
    ///
    /// Shares of no answers are NaN.
    public init(_ answers: [Answer]) {
      let count = Double(answers.count)
      func error(_ share: Double) -> Double { (share * (1 - share) / count).squareRoot() }
      questions = answers.count
      accuracy = Double(answers.count { $0.choice == $0.label }) / count
      accuracyPerCharacter = Double(answers.count { $0.choicePerCharacter == $0.label }) / count
      standardError = error(accuracy)
      standardErrorPerCharacter = error(accuracyPerCharacter)
    }
  }

  /// Answers all questions.
  ///
  /// - Parameters:
  ///   - items: with a place for messages, say the file and line.
  ///   - progress: called with the share that is done.
  /// - Throws: a `FileError` naming the place of a text that the tokenizer cannot write or that is too long, or of what is
  ///   no question.
  public func answers(
    to items: [(place: String, item: MultipleChoiceItem)], progress: (Double) -> Void = { _ in }
  ) throws -> [Answer] {
    let passages = try items.flatMap { place, item in
      do { try item.validate() } catch { throw FileError("\(place): \(error)") }
      let context = try encode(item.context, place)
      return try item.endings.map { ending in
        // Tokenizers that know words take a space to the word after it.
        let tokens = try encode(item.separator + ending, place)
        guard !tokens.isEmpty, tokens.count <= length else {
          throw FileError("\(place): an ending has \(tokens.count) tokens, expected 1 to \(length)")
        }
        return try Passage(context: Array(context.suffix(length - tokens.count)), ending: tokens)
      }
    }
    var scores = try scoring.scores(of: passages, progress: progress)[...]
    return items.map { _, item in
      let own = scores.prefix(item.endings.count).map(\.logProbability)
      scores = scores.dropFirst(item.endings.count)
      return Answer(
        label: item.label, logProbabilities: own,
        perCharacter: zip(own, item.endings).map { $0 / Double($1.unicodeScalars.count) })
    }
  }

  private func encode(_ text: String, _ place: String) throws -> [Int32] {
    do {
      return try tokenizer.encode(text)
    } catch {
      throw FileError("\(place): \(error)")
    }
  }
}
