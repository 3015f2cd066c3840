import EsoLM
import Foundation
import Randomness
import TestSupport
import Testing
import Torch

@Suite("Token picker")
struct TokenPickerTests {
  /// The distribution by sorting everything: equal probabilities by rising id, as the picker breaks ties.
  private func naiveLaw(_ probabilities: [Double], _ picker: TokenPicker) -> [Double] {
    let sorted = probabilities.indices.sorted {
      (probabilities[$1], $0) < (probabilities[$0], $1)
    }
    let limit = picker.temperature == 0 ? 1 : picker.topK ?? sorted.count
    let least = probabilities[sorted.prefix(limit).last!]
    let best = picker.temperature == 0 ? sorted.prefix(1) : sorted.prefix { probabilities[$0] >= least }
    let whole = best.count < sorted.count ? best.reduce(0) { $0 + probabilities[$1] } : 1
    var distribution = [Double](repeating: 0, count: probabilities.count)
    var mass = 0.0
    for token in best where picker.topP == 1 || mass < picker.topP * whole {
      distribution[token] = probabilities[token]
      mass += probabilities[token]
    }
    return distribution.map { $0 / mass }
  }

  private static let rows: [(name: String, logits: [Float])] = {
    var generator = CounterGenerator(seed: 1, stream: .samplingToken)
    func random(_ count: Int, within bound: Float) -> [Float] {
      (0..<count).map { _ in (Float(generator.uniform()) * 2 - 1) * bound }
    }
    return [
      ("flat", random(61, within: 1e-6)), ("usual", random(61, within: 5)), ("peaked", random(61, within: 40)),
      ("huge", random(61, within: 1e4)), ("larger than a select's base case", random(400, within: 4)),
      ("few values", random(301, within: 3).map { $0.rounded() }), ("all equal", Array(repeating: 2, count: 70)),
      ("rising", (0..<200).map { Float($0) / 20 }), ("falling", (0..<200).map { Float(-$0) / 20 }),
      ("with impossible tokens", random(61, within: 3).map { $0 < -1 ? -.infinity : $0 }), ("one token", [3]),
      ("two tokens", [1, -1]), ("a large vocabulary", random(50258, within: 8)),
      ("a large flat vocabulary", random(50258, within: 0.1)),
    ]
  }()

  private static let pickers: [TokenPicker] = [
    (1, 1, nil), (0, 1, nil), (0, 0.5, 3), (0.5, 1, nil), (3, 0.9, nil), (1, 0.9, nil), (1, 0.5, nil), (1, 0.999, nil),
    (1, 1e-9, nil), (1, 1, 1), (1, 1, 5), (1, 1, 60), (1, 1, 100_000), (1, 0.9, 10), (0.7, 0.95, 50),
  ].map { try! TokenPicker(temperature: $0, topP: $1, topK: $2) }

  @Test(arguments: rows.indices)
  func lawsAreThoseOfANaiveSort(row: Int) {
    let (name, logits) = Self.rows[row]
    let tensor = Tensor(logits, shape: [1, logits.count])
    for picker in Self.pickers {
      let scaled = [0, 1].contains(picker.temperature) ? tensor : tensor * (1 / picker.temperature)
      let expected = naiveLaw(scaled.softmax(dim: 1).array(), picker)
      let distribution = picker.distribution(of: tensor)[0]
      #expect(abs(distribution.reduce(0, +) - 1) < 1e-9, "\(name)")
      #expect(distance(distribution, expected) < 1e-9, "\(name), \(picker)")
    }
  }

  @Test func rowsDoNotAffectEachOther() throws {
    let picker = try TokenPicker(topP: 0.8)
    let logits = Tensor.random([5, 30], bound: 4, seed: 1)
    let alone = (0..<5).map { picker.distribution(of: logits.narrowed(dim: 0, to: $0..<$0 + 1))[0] }
    #expect(picker.distribution(of: logits) == alone)
  }

  // MARK: Drawing

  private static let distributions: [TokenPicker] = [
    (1, 1, nil), (1.5, 0.9, nil), (1, 1, 4), (0.8, 0.95, 6),
  ].map { try! TokenPicker(temperature: $0, topP: $1, topK: $2) }

  /// 40,000 draws from a distribution over 20 tokens; a right picker fails once in 30,000 seeds.
  @Test(arguments: distributions)
  func drawsFollowTheLaw(picker: TokenPicker) throws {
    let draws = 40_000
    let row: [Float] = Tensor.random([20], bound: 2, seed: 7).array()
    var generator = CounterGenerator(seed: 2, stream: .samplingToken)
    let picked = try picker.pick(
      from: Tensor((0..<draws).flatMap { _ in row }, shape: [draws, 20]), excluding: 3,
      uniforms: (0..<draws).map { _ in generator.uniform() })
    var counts = [Int](repeating: 0, count: 20)
    for token in picked { counts[Int(token)] += 1 }
    let distribution = picker.distribution(of: Tensor(row, shape: [1, 20]), excluding: 3)[0]
    #expect(distribution[3] == 0)
    #expect(chiSquareScore(counts, distribution: distribution) < 4)
  }

  @Test func uniformNumbersWalkTheKeptTokensByRisingId() throws {
    // 0.4, 0.1, 0.3, 0.2: top-3 keeps all but token 1.
    let row = [0.4, 0.1, 0.3, 0.2].map { Float(log($0)) }
    let uniforms = [0, 0.44, 0.45, 0.77, 0.78, 1.nextDown]
    let logits = Tensor(uniforms.flatMap { _ in row }, shape: [uniforms.count, 4])
    #expect(try TokenPicker(topK: 3).pick(from: logits, excluding: nil, uniforms: uniforms) == [0, 0, 2, 2, 3, 3])
  }

  /// The k-th and those as likely as it stand or fall together: which of them has the lowest id must not matter.
  @Test func topKKeepsAllThatTieWithTheLast() throws {
    let logits = Tensor([0, 2, 1, 1, 3, 1, -1] as [Float], shape: [1, 7])
    for (k, kept) in [(1, [4]), (2, [1, 4]), (3, [1, 2, 3, 4, 5]), (5, [1, 2, 3, 4, 5]), (6, [0, 1, 2, 3, 4, 5])] {
      let distribution = try TokenPicker(topK: k).distribution(of: logits)[0]
      #expect(distribution.indices.filter { distribution[$0] > 0 } == kept, "k = \(k)")
    }
    // The nucleus is of all that were kept: the two likeliest have 0.80 of it, and 0.84 of their and one more's.
    let distribution = try TokenPicker(topP: 0.82, topK: 3).distribution(of: logits)[0]
    #expect(distribution.indices.filter { distribution[$0] > 0 } == [1, 2, 4])
    let equal = Tensor([Float](repeating: 1, count: 5000), shape: [1, 5000])
    #expect(try TokenPicker(topK: 7).distribution(of: equal)[0] == [Double](repeating: 1.0 / 5000, count: 5000))
  }

  @Test func temperatureZeroTakesTheFirstOfTheLikeliest() throws {
    let picker = try TokenPicker(temperature: 0)
    for (excluded, likeliest) in [(nil, 1), (1, 3)] as [(Int?, Int32)] {
      for uniform in [0, 0.5, 1.nextDown] {
        let logits = Tensor([1, 5, 2, 5, -1, 0] as [Float], shape: [1, 6])
        #expect(try picker.pick(from: logits, excluding: excluded, uniforms: [uniform]) == [likeliest])
      }
    }
  }

  /// However likely the network finds it, and however much a temperature flattens or sharpens the others.
  @Test(arguments: [0, 1e-300, 1e-12, 0.5, 1, 2, 1e9, 1e300])
  func anExcludedTokenIsNeverDrawn(temperature: Double) throws {
    let uniforms = (0..<1000).map { Double($0) / 1000 } + [1.nextDown]
    for bound in [0.01, 10, 1e6] {
      let row: [Float] = Tensor.random([8], bound: bound, seed: 3).array().map { $0 - Float(bound) }
      for excluded in [0, 7] {
        var logits = row
        logits[excluded] = 1e8
        let tensor = Tensor(uniforms.flatMap { _ in logits }, shape: [uniforms.count, 8])
        let picker = try TokenPicker(temperature: temperature)
        let drawn = Set(try picker.pick(from: tensor, excluding: excluded, uniforms: uniforms))
        #expect(!drawn.contains(Int32(excluded)))
        let distribution = picker.distribution(of: Tensor(logits, shape: [1, 8]), excluding: excluded)[0]
        #expect(distribution[excluded] == 0)
        #expect(abs(distribution.reduce(0, +) - 1) < 1e-9)
      }
    }
  }

  @Test func logitsMayBeOfAnotherType() throws {
    let logits = Tensor.random([3, 20], bound: 3, seed: 1)
    for dtype in [DType.bfloat16, .float64] {
      let distributions = [logits.to(dtype), logits.to(dtype).to(.float32)].map {
        Self.distributions[0].distribution(of: $0, excluding: 19)
      }
      #expect(distributions[0] == distributions[1])
    }
  }

  /// A device's operations draw what the CPU draws, and tell the same of it.
  @Test(arguments: rows.indices)
  func devicesDrawTheSame(row: Int) throws {
    let (name, logits) = Self.rows[row]
    var generator = CounterGenerator(seed: 3, stream: .samplingToken)
    let draws = Self.pickers.flatMap { picker in
      (0..<4).map { TokenPicker.Draw(picker, .at(generator.uniform()), alternativeCount: $0) }
        + [0, logits.count - 1].map { TokenPicker.Draw(picker, .token(Int32($0))) }
    }
    for excluded in [nil, logits.count > 1 ? 0 : nil] {
      func tensor() -> Tensor { Tensor(draws.flatMap { _ in logits }, shape: [draws.count, logits.count]) }
      let expected = try TokenPicker.pick(from: tensor(), excluding: excluded, draws)
      let found = try TokenPicker.pickInPlace(from: tensor(), excluding: excluded, draws)
      for (a, b) in zip(found, expected) {
        #expect(a.token == b.token, "\(name)")
        // Zero and the smallest numbers differ by rounding alone.
        func agree(_ a: Double, _ b: Double) -> Bool { a == b || abs(a - b) < 1e-5 * max(1, abs(b)) }
        #expect(agree(a.logProbability, b.logProbability), "\(name): \(a) \(b)")
        #expect(agree(a.modelLogProbability, b.modelLogProbability), "\(name): \(a) \(b)")
        #expect(a.alternatives.map(\.token) == b.alternatives.map(\.token), "\(name)")
        for (a, b) in zip(a.alternatives, b.alternatives) { #expect(agree(a.logProbability, b.logProbability)) }
      }
    }
  }

  @Test func devicesTellOfDamage() throws {
    let logits = Tensor([1, 2, 3, 1, .nan, 2] as [Float], shape: [2, 3])
    let draws = [0.1, 0.2].map { TokenPicker.Draw(.plain, .at($0)) }
    #expect(throws: LogitsError.self) { try TokenPicker.pickInPlace(from: logits, excluding: nil, draws) }
  }

  // MARK: Values that make no sense

  @Test(
    arguments: [
      (-1, 1, nil, "temperature is -1.0, expected a finite number from 0"),
      (.infinity, 1, nil, "temperature is inf, expected a finite number from 0"),
      (.nan, 1, nil, "temperature is nan, expected a finite number from 0"),
      (1, 0, nil, "top-p is 0.0, expected a number above 0 and at most 1"),
      (1, -0.5, nil, "top-p is -0.5, expected a number above 0 and at most 1"),
      (1, 1.5, nil, "top-p is 1.5, expected a number above 0 and at most 1"),
      (1, .nan, nil, "top-p is nan, expected a number above 0 and at most 1"),
      (1, 1, 0, "top-k is 0, expected at least 1"), (1, 1, -7, "top-k is -7, expected at least 1"),
    ] as [(Double, Double, Int?, String)])
  func valuesThatMakeNoSenseAreNamed(temperature: Double, topP: Double, topK: Int?, text: String) {
    #expect(message { try TokenPicker(temperature: temperature, topP: topP, topK: topK) } == text)
  }

  @Test func pickersSurviveTheirFile() throws {
    for picker in Self.pickers {
      #expect(try JSONDecoder().decode(TokenPicker.self, from: JSONEncoder().encode(picker)) == picker)
    }
  }
}
