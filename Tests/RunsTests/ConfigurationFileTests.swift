import EsoLM
import Foundation
import RunSupport
import Runs
import Testing
import TestSupport

/// `config.json` with each of its fields made wrong in turn.
@Suite("config.json")
struct ConfigurationFileTests {
  /// A value that does not fit a field, and what is said of it.
  struct Wrong: Sendable, CustomTestStringConvertible {
    let field: String
    let value: any Sendable
    let message: String
    var testDescription: String { "\(field) = \(value)" }

    init(_ field: String, _ value: any Sendable, _ message: String) {
      (self.field, self.value, self.message) = (field, value, message)
    }
  }

  static let wrong = [
    Wrong("formatVersion", 2, "formatVersion is 2, expected 1"),
    Wrong(
      "method.algorithm", "gpt",
      "field 'method.algorithm' is 'gpt', which is none of its values"),
    Wrong("method.alpha0", 1.5, "alpha0 is 1.5, expected a number from 0 (autoregressive) to 1 (diffusion)"),
    Wrong("method.alpha0", -0.1, "alpha0 is -0.1, expected a number from 0 (autoregressive) to 1 (diffusion)"),
    Wrong(
      "method.weighting", "half", "field 'method.weighting' is 'half', which is none of its values"
    ),
    Wrong("method.weighting", "low_var", "weighting is low_var, expected elbo where alpha0 is below 1"),
    Wrong("method.length", 1, "length is 1, expected 2 to 1048576"),
    Wrong("method.length", 1 << 21, "length is 2097152, expected 2 to 1048576"),
    Wrong(
      "method.length", 8.5,
      "a number does not fit its field (a fraction, a sign, or too large for a whole number)"),
    Wrong("model.vocabularySize", 1, "vocabularySize is 1, expected 2 to 16777216"),
    Wrong("model.maskToken", 6, "maskToken is 6, expected 0 to 5"),
    Wrong("model.maskToken", 0, "maskToken is 0, expected 5, the first id that is no token of $run/tokenizer.json"),
    Wrong("model.hiddenSize", 0, "hiddenSize is 0, expected 2 to 65536"),
    Wrong("model.numBlocks", 0, "numBlocks is 0, expected 1 to 1024"),
    Wrong("model.numHeads", 0, "numHeads is 0, expected 1 to 8"),
    Wrong(
      "model.numHeads", 3, "numHeads is 3, expected heads of one even size, so that 2 · numHeads divides hiddenSize 8"),
    Wrong("model.conditioningSize", 0, "conditioningSize is 0, expected 1 to 65536"),
    Wrong("model.dropout", 1, "dropout is 1.0, expected a number from 0 up to, not including, 1"),
    Wrong("data.validationFraction", 1, "validationFraction is 1.0, expected a number between 0 and 1"),
    Wrong("data.source.file.path", 1, "field 'data.source.file.path' is not a text"),
    Wrong("data.source.file.fingerprint", 1, "field 'data.source.file.fingerprint' is not a text"),
    Wrong("data.source", ["web": [String: String]()], "field 'data.source' is not what is expected there"),
    Wrong(
      "data.source", ["toyLanguage": ["sequences": 1, "seed": 0]], "sequences is 1, expected 2 to 268435456"),
    Wrong("training.steps", 0, "steps is 0, expected at least 1"),
    Wrong("training.batchSize", 0, "batchSize is 0, expected 1 to 1048576"),
    Wrong(
      "training.batchSize", 1,
      "batchSize is 1, expected at least 2 where 0 < alpha0 < 1, since a batch is split between two terms"),
    Wrong(
      "training.seed", -1, "a number does not fit its field (a fraction, a sign, or too large for a whole number)"),
    Wrong("training.learningRate", 0, "learningRate is 0.0, expected a number above 0"),
    Wrong("training.warmupSteps", -1, "warmupSteps is -1, expected at least 0"),
    Wrong("training.weightDecay", -1, "weightDecay is -1.0, expected a number from 0"),
    Wrong("training.gradientClip", 0, "gradientClip is 0.0, expected a number above 0"),
    Wrong("training.emaDecay", 1, "emaDecay is 1.0, expected a number from 0 up to, not including, 1"),
    Wrong("training.bfloat16", 1, "field 'training.bfloat16' is not true or false"),
    Wrong("training.validationInterval", 0, "validationInterval is 0, expected at least 1"),
    Wrong("training.validationSequences", 0, "validationSequences is 0, expected at least 1"),
    Wrong("training.saveInterval", 0, "saveInterval is 0, expected at least 1"),
  ]

  @Test(arguments: wrong) func aWrongValueIsNamed(wrong: Wrong) throws {
    let path = try TinyRun.make().path
    try change(path, wrong.field, to: wrong.value)
    #expect(
      message { try RunFolder(opening: path) }
        == "\(path)/config.json: \(wrong.message.replacingOccurrences(of: "$run", with: path))")
  }

  @Test func everyFieldHasAWrongValueAbove() throws {
    #expect(Set(try fields()).subtracting(Self.wrong.map(\.field)) == [])
  }

  @Test func everyFieldMustBeThereAndOfItsType() throws {
    let path = try TinyRun.make().path
    let original = try Data(contentsOf: URL(fileURLWithPath: "\(path)/config.json"))
    for field in try fields() {
      try change(path, field, to: ["a", "list"])
      let wrongType = try #require(message { try RunFolder(opening: path) })
      #expect(wrongType.hasPrefix("\(path)/config.json: field '\(field)' is not "))
      try original.write(to: URL(fileURLWithPath: "\(path)/config.json"))

      // Without conditioning it is another network, which the weights do not fit.
      guard field != "model.conditioningSize" else { continue }
      try change(path, field, to: nil)
      // α₀ belongs to some methods only, so it is the method that misses it.
      let missing =
        field == "method.alpha0"
        ? "alpha0 is missing, expected a number from 0 (autoregressive) to 1 (diffusion)"
        : "field '\(field)' is missing"
      #expect(message { try RunFolder(opening: path) } == "\(path)/config.json: \(missing)")
      try original.write(to: URL(fileURLWithPath: "\(path)/config.json"))
    }
  }

  @Test(arguments: [
    ("", "is no valid JSON"), ("{", "is no valid JSON"), ("\u{0}", "is no valid JSON"), ("[]", "is no JSON object"),
  ])
  func whatIsNoJSONObjectIsRefused(text: String, reason: String) throws {
    let path = try TinyRun.make().path
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(path)/config.json"))
    #expect(message { try RunFolder(opening: path) } == "\(path)/config.json: it \(reason)")
  }

  // MARK: Helpers

  /// The paths of all fields that hold no further ones.
  private func fields() throws -> [String] {
    func leaves(_ object: [String: Any], _ prefix: String) -> [String] {
      object.flatMap { name, value in
        (value as? [String: Any]).map { leaves($0, "\(prefix)\(name).") } ?? ["\(prefix)\(name)"]
      }
    }
    return leaves(try contents(of: TinyRun.make().path), "")
  }

  private func contents(of run: String) throws -> [String: Any] {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(run)/config.json"))
    return try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
  }

  private func change(_ run: String, _ field: String, to value: Any?) throws {
    func changed(_ object: [String: Any], _ path: ArraySlice<Substring>) -> [String: Any] {
      var object = object
      let name = String(path.first!)
      object[name] = path.count == 1 ? value : changed(object[name] as! [String: Any], path.dropFirst())
      return object
    }
    let object = changed(try contents(of: run), field.split(separator: ".")[...])
    try JSONSerialization.data(withJSONObject: object).write(to: URL(fileURLWithPath: "\(run)/config.json"))
  }
}
