import EsoLM
import Files
import Prompts
import Randomness
import Tokenizers

/// One text that is asked for, whichever door the request came in by.
struct TextRequest: Sendable {
  /// What is given, and where something is to be written.
  var template: PromptTemplate
  /// How it is written: what is given, and `stop`, are filled in from the rest.
  var writing: GenerationRequest
  /// What ends the text.
  var stop: [String] = []
  /// Whether the end-of-text token ends nothing.
  var ignoresEnd = false
  /// The field of the request that the text comes from.
  var parameter = "prompt"

  /// About how many rows the length of a hole may cost.
  static let lengthRows = 1024

  /// Several texts of the same that differ in their number alone, before anything is written. Asks the network where a
  /// hole's length must be drawn.
  ///
  /// - Parameter numbers: of the texts.
  /// - Throws: ``APIError``, `CancellationError` or ``EsoLM/LogitsError``.
  func prepared(_ numbers: Range<Int>, for model: ServedModel, engine: Engine) async throws -> [PreparedText] {
    do {
      return try await preparedAsIs(numbers, for: model, engine: engine)
    } catch let error as APIError {
      throw error
    } catch let error as ConfigurationError {
      throw APIError(error, names: ["template": parameter])
    } catch let error where error is CancellationError || error is LogitsError {
      throw error
    } catch {
      // The tokenizer's.
      throw APIError(.badRequest, "\(parameter): \(error)", parameter: parameter)
    }
  }

  private func preparedAsIs(
    _ numbers: Range<Int>, for model: ServedModel, engine: Engine
  ) async throws -> [PreparedText] {
    // Before memory is taken for them.
    guard let holes = template.longestHoles, holes <= model.length else {
      throw APIError.tooLong(
        "this model's texts have at most \(model.length) tokens, but the holes alone have more", parameter: parameter)
    }
    let stop = try StopStrings(stop, tokens: ignoresEnd ? [] : [model.tokenizer.endOfText], tokenizer: model.tokenizer)
    let longest = try template.layout(model.tokenizer)
    try require(longest.tokens, fits: model)
    var layouts = Array(repeating: longest, count: numbers.count)
    if template.hasOpenLengths, model.drawsLengths {
      // Whatever else is wrong is found without the network.
      _ = try generation(longest.tokens, numbers.lowerBound, stop, model)
      let (template, seed) = (template, writing.seed)
      layouts = try await engine.perform { access in
        let holes = HoleLengths(
          model.method, network: access.network, tokenizer: model.tokenizer, rowLimit: Self.lengthRows)
        return try numbers.map { number in
          try template.layout(model.tokenizer, lengths: holes.draw(template, seed: seed, number: number))
        }
      }
    }
    return try zip(numbers, layouts).map { number, layout in
      PreparedText(
        template: layout.tokens, holes: layout.holes, longestCount: longest.tokens.count, stop: stop,
        generation: try generation(layout.tokens, number, stop, model))
    }
  }

  private func generation(
    _ tokens: [Int32?], _ number: Int, _ stop: StopStrings, _ model: ServedModel
  ) throws -> Generation {
    var request = writing
    request.template = tokens
    if template.hasOpenLengths { request.limitCalls() }
    request.stop = stop
    request.number = number
    request.alternativeCount = min(request.alternativeCount, model.network.vocabularySize - 1)
    return try model.method.generation(request, for: model.network)
  }

  private func require(_ tokens: [Int32?], fits model: ServedModel) throws {
    guard tokens.count <= model.length else {
      let holes = tokens.count { $0 == nil }
      throw APIError.tooLong(
        "this model's texts have at most \(model.length) tokens, but \(tokens.count) were asked for "
          + "(\(tokens.count - holes) given, \(holes) to be written); shorten the text or ask for fewer",
        parameter: parameter)
    }
  }
}

/// A text that is ready to be written.
struct PreparedText: Sendable {
  /// Its tokens, nil where one is to be written.
  let template: [Int32?]
  /// The positions of each hole.
  let holes: [Range<Int>]
  /// How many it has if every hole becomes as long as it may.
  let longestCount: Int
  let stop: StopStrings
  let generation: Generation

  /// How many tokens are given before the first hole.
  var promptCount: Int { template.firstIndex { $0 == nil } ?? template.count }
  /// How many are given in all.
  var givenCount: Int { template.count { $0 != nil } }
  /// Where the first hole ends.
  var holeEnd: Int { template[promptCount...].firstIndex { $0 != nil } ?? template.count }
}

/// Seeds of requests that name none.
enum FreshSeed {
  /// One that JSON carries exactly.
  static func next() -> UInt64 { UInt64.random(in: 0..<1 << 53) }
}
