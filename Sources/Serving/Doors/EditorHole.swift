import EsoLM
import Prompts
import Tokenizers

/// A gap in a text that an editor sends: it sends as much around it as it likes, of which the nearest is taken.
package struct EditorHole {
  var prefix: String
  var suffix: String
  /// The most tokens to write.
  var most: Int

  package init(prefix: String, suffix: String, most: Int) {
    self.prefix = prefix
    self.suffix = suffix
    self.most = most
  }

  /// What editors get that name no number.
  static let usualTokens = 64

  /// The text that fits into the model's, its gap open where the model can tell how long it is.
  ///
  /// - Throws: an error of the tokenizer.
  package func template(for model: ServedModel) throws -> PromptTemplate {
    // No more of it becomes tokens than could be of use.
    let letters = 64 * model.length
    var before = try model.tokenizer.encode(String(prefix.unicodeScalars.suffix(letters)))
    var after = try model.tokenizer.encode(String(suffix.unicodeScalars.prefix(letters)))
    // The gap gets up to half of the text, what stands around it the rest: of that a quarter belongs to the text behind.
    let most = min(most, max(1, model.length / 2))
    let room = model.length - most
    let behind = min(after.count, max(room / 4, room - before.count))
    after = Array(after.prefix(max(0, behind)))
    before = Array(before.suffix(room - after.count))
    guard most > 0 else { return PromptTemplate(parts: [.tokens(before + after)].filter { $0 != .tokens([]) }) }
    let gap = !after.isEmpty && model.drawsLengths ? PromptTemplate.Part.openHole(most) : .hole(most)
    return PromptTemplate(parts: [.tokens(before), gap, .tokens(after)].filter { $0 != .tokens([]) })
  }
}

/// Prompts that mark a gap, as models that were trained with markers want it.
package enum FIMMarkers {
  private static let forms = [
    (before: "<fim_prefix>", gap: "<fim_suffix>", end: "<fim_middle>"),
    (before: "<|fim_prefix|>", gap: "<|fim_suffix|>", end: "<|fim_middle|>"),
    (before: "<PRE> ", gap: " <SUF>", end: " <MID>"),
  ]

  /// The text before and behind the gap; nil where none is marked.
  package static func parse(_ prompt: String) -> (prefix: String, suffix: String)? {
    for form in forms where prompt.hasPrefix(form.before) {
      let inside = prompt.dropFirst(form.before.count)
      let trimmed = inside.hasSuffix(form.end) ? inside.dropLast(form.end.count) : nil
      guard let trimmed, let gap = trimmed.range(of: form.gap) else { continue }
      return (String(trimmed[..<gap.lowerBound]), String(trimmed[gap.upperBound...]))
    }
    return nil
  }
}
