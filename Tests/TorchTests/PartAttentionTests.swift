import Randomness
import TestSupport
import Testing
import Torch

@Suite("Attention in parts")
struct PartAttentionTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let rows: Int
    let keys: Int
    let parts: [AttentionPart]
    let heads = 2
    let size = 8

    private init(_ description: String, rows: Int, keys: Int, _ parts: AttentionPart...) {
      self.init(description, rows: rows, keys: keys, parts)
    }

    private init(_ description: String, rows: Int, keys: Int, _ parts: [AttentionPart]) {
      (testDescription, self.rows, self.keys, self.parts) = (description, rows, keys, parts)
    }

    private static func part(
      _ rows: Range<Int>, _ keys: Range<Int>, _ reach: AttentionPart.Reach = .all
    ) -> AttentionPart {
      AttentionPart(rows: rows, keys: keys, reach: reach)
    }

    static let all: [Case] = simple + sequences + ragged

    private static let simple: [Case] = [
      Case("all", rows: 3, keys: 5, part(0..<3, 0..<5)),
      Case("causal", rows: 4, keys: 4, part(0..<4, 0..<4, .upToBlock(of: 1))),
      Case("own", rows: 3, keys: 5, part(0..<3, 2..<5, .ownBlock(of: 1))),
      Case("blocks", rows: 6, keys: 6, part(0..<6, 0..<6, .upToBlock(of: 2))),
      Case("own blocks", rows: 6, keys: 6, part(0..<6, 0..<6, .ownBlock(of: 3))),
      Case("prefix and causal", rows: 3, keys: 7, part(0..<3, 0..<4), part(0..<3, 4..<7, .upToBlock(of: 1))),
      Case(
        "second stream", rows: 4, keys: 10, part(1..<4, 2..<5, .upToBlock(of: 1)), part(0..<4, 0..<2),
        part(0..<4, 6..<10, .ownBlock(of: 1))),
      Case(
        "pieces", rows: 6, keys: 6, part(0..<4, 0..<4, .upToBlock(of: 2)), part(4..<6, 0..<4),
        part(4..<6, 4..<6, .upToBlock(of: 2))),
    ]

    /// Sequences that are alike are computed together.
    private static let sequences: [Case] = [
      Case(
        "two causal", rows: 8, keys: 9, part(0..<4, 0..<4, .upToBlock(of: 1)), part(4..<8, 5..<9, .upToBlock(of: 1))),
      Case(
        "two second streams", rows: 6, keys: 14, part(0..<3, 8..<11, .ownBlock(of: 1)), part(0..<3, 0..<1),
        part(1..<3, 1..<3, .upToBlock(of: 1)), part(3..<6, 11..<14, .ownBlock(of: 1)), part(3..<6, 4..<5),
        part(4..<6, 5..<7, .upToBlock(of: 1))),
      Case(
        "two of noised blocks", rows: 8, keys: 16, part(0..<4, 8..<12, .ownBlock(of: 2)),
        part(4..<8, 12..<16, .ownBlock(of: 2)), part(2..<4, 0..<2), part(6..<8, 4..<6)),
      Case(
        "unequal", rows: 6, keys: 9, part(0..<1, 0..<3), part(1..<3, 3..<5), part(1..<3, 5..<7, .upToBlock(of: 1)),
        part(3..<6, 7..<9)),
      Case(
        "three at unequal distances", rows: 6, keys: 12, part(0..<2, 0..<2), part(2..<4, 4..<6), part(4..<6, 9..<11)),
    ]

    /// So many unequal sequences that threads take one each, two parts of which look at the same keys.
    static let many = Case(
      "nine unequal", rows: 27, keys: 36,
      (0..<9).flatMap { number in
        let (row, key) = (2 * number, 4 * number)
        return [
          part(row..<row + 2, key + 2..<key + 4, .ownBlock(of: 1)), part(row..<row + 2, key..<key + 1 + number % 2),
          part(18 + number..<19 + number, key + number % 2..<key + 3),
        ]
      })

    /// Parts in which some rows see no key, or some keys are seen by no row.
    private static let ragged: [Case] = [
      Case("rows without keys", rows: 6, keys: 10, part(0..<6, 0..<4, .ownBlock(of: 2)), part(0..<6, 4..<10)),
      Case("rows without one key", rows: 4, keys: 8, part(0..<4, 0..<2, .ownBlock(of: 1)), part(0..<4, 3..<8)),
      Case("keys without rows", rows: 3, keys: 9, part(0..<3, 1..<9, .ownBlock(of: 2))),
      Case("own blocks cut off", rows: 5, keys: 6, part(0..<5, 0..<6, .ownBlock(of: 2))),
      Case("one block cut off", rows: 3, keys: 2, part(0..<3, 0..<2, .ownBlock(of: 4))),
      Case("fewer keys than blocks", rows: 7, keys: 4, part(0..<7, 0..<4, .upToBlock(of: 3))),
      Case("no keys", rows: 3, keys: 4, part(0..<3, 2..<2), part(0..<3, 0..<4), part(1..<1, 0..<4)),
      Case("no part has all rows", rows: 6, keys: 6, part(0..<4, 0..<3), part(2..<6, 3..<6)),
      Case(
        "two of which no part has all rows", rows: 8, keys: 12, part(0..<3, 0..<3), part(1..<4, 3..<6),
        part(4..<7, 6..<9), part(5..<8, 9..<12)),
    ]

    func allows(_ row: Int, _ key: Int) -> Bool { parts.contains { $0.allows(row, key) } }

    /// Query, key and value.
    func parameters() -> [Tensor] {
      [rows, keys, keys].enumerated().map { .parameter([$1, heads, size], bound: 2, seed: UInt64($0)) }
    }

    func result(of parameters: [Tensor], fused: Bool? = nil) -> Tensor {
      parameters[0].attention(key: parameters[1], value: parameters[2], parts: parts, fused: fused)
    }

    /// The same with a dense mask.
    func denseResult(of parameters: [Tensor]) -> Tensor {
      let heads = parameters.map { $0.transposed(0, 1).reshaped([1, self.heads, $0.size(0), size]) }
      return heads[0].attention(key: heads[1], value: heads[2], allows: allows)
        .reshaped([self.heads, rows, size]).transposed(0, 1)
    }

    /// A number that depends on every element of the result.
    func loss(_ result: Tensor) -> Tensor { (result * .random([rows, heads, size], seed: 9)).sum() }
  }

  @Test(arguments: Case.all)
  func partsAddUpToTheDenseMask(_ sizes: Case) {
    let parameters = sizes.parameters()
    let expected = sizes.denseResult(of: parameters)
    for fused in [true, false, nil] {
      #expect(distance(sizes.result(of: parameters, fused: fused), expected) < 2e-6)
    }
  }

  @Test(arguments: Case.all)
  func gradientsAreThoseOfTheDenseMask(_ sizes: Case) {
    let parameters = sizes.parameters()
    let expected = gradients(of: { sizes.loss(sizes.denseResult(of: parameters)) }, for: parameters)
    for fused in [true, false] {
      let found = gradients(of: { sizes.loss(sizes.result(of: parameters, fused: fused)) }, for: parameters)
      for (found, expected) in zip(found, expected) { #expect(distance(found, expected) < 5e-6) }
    }
  }

  @Test func threadsThatTakeASequenceEachDoNotMix() {
    let (sizes, parameters) = (Case.many, Case.many.parameters())
    let expected = gradients(of: { sizes.loss(sizes.denseResult(of: parameters)) }, for: parameters)
    for threads in 1...3 {
      withThreads(threads) {
        #expect(distance(sizes.result(of: parameters), sizes.denseResult(of: parameters)) < 2e-6)
        let found = gradients(of: { sizes.loss(sizes.result(of: parameters)) }, for: parameters)
        for (found, expected) in zip(found, expected) { #expect(distance(found, expected) < 5e-6) }
      }
    }
  }

  @Test(arguments: Case.all)
  func gradientsAreThoseOfFiniteDifferences(_ sizes: Case) {
    let parameters = sizes.parameters()
    let loss = { sizes.loss(sizes.result(of: parameters)) }
    for (found, expected) in zip(
      gradients(of: loss, for: parameters), numericalGradients(of: loss, for: parameters))
    {
      #expect(distance(found, expected) < 3e-3)
    }
  }

  @Test(arguments: Case.all)
  func bfloat16IsCloseToFloat32(_ sizes: Case) {
    let parameters = sizes.parameters()
    let narrow = sizes.result(of: parameters.map { $0.detached().to(.bfloat16).requiringGradient() })
    #expect(narrow.dtype == .bfloat16)
    #expect(distance(narrow.to(.float32), sizes.denseResult(of: parameters)) < 5e-2)
    let inputs = parameters.map { $0.detached().to(.bfloat16).requiringGradient() }
    let found = gradients(of: { sizes.loss(sizes.result(of: inputs).to(.float32)) }, for: inputs)
    let expected = gradients(of: { sizes.loss(sizes.denseResult(of: parameters)) }, for: parameters)
    #expect(expected[2].maxAbs().item > 0.1)
    for (found, expected) in zip(found, expected) {
      // Where each row sees one key, queries and keys have no gradient.
      let size = expected.maxAbs().item
      #expect(distance(found.to(.float32), expected) < (size > 1e-6 ? 0.05 * size : 0.01))
    }
  }

  @Test func largeScoresStayFinite() {
    for sizes in Case.all {
      let parameters = sizes.parameters().map { $0.detached() * 100 }
      #expect(distance(sizes.result(of: parameters), sizes.denseResult(of: parameters)) < 1e-2)
    }
  }

  // MARK: What is no attention

  @Test(
    arguments: [
      (4, 4, [.init(rows: 0..<3, keys: 0..<4)], "no part shows row 3 a key"),
      (4, 4, [.init(rows: 1..<4, keys: 0..<4)], "no part shows row 0 a key"),
      (4, 4, [.init(rows: 0..<1, keys: 0..<4), .init(rows: 2..<4, keys: 0..<4)], "no part shows row 1 a key"),
      (4, 2, [.init(rows: 0..<4, keys: 0..<2, reach: .ownBlock(of: 1))], "no part shows row 2 a key"),
      (2, 2, [.init(rows: 0..<2, keys: 1..<1)], "no part shows row 0 a key"),
      (
        3, 4, [.init(rows: 0..<3, keys: 0..<4), .init(rows: 2..<3, keys: 3..<4)],
        "row 2 sees key 3 twice, in rows 0..<3 × keys 0..<4 and in rows 2..<3 × keys 3..<4"
      ),
      (
        4, 8,
        [
          .init(rows: 0..<4, keys: 0..<4, reach: .upToBlock(of: 1)),
          .init(rows: 0..<4, keys: 1..<5, reach: .ownBlock(of: 2)),
        ],
        "row 3 sees key 3 twice, in rows 0..<4 × keys 0..<4, up to the own block of 1 "
          + "and in rows 0..<4 × keys 1..<5, in own blocks of 2"
      ),
      (2, 2, [.init(rows: 0..<3, keys: 0..<2)], "rows 0..<3 × keys 0..<2 reaches beyond the 2 rows or the 2 keys"),
      (2, 2, [.init(rows: 0..<2, keys: 0..<3)], "rows 0..<2 × keys 0..<3 reaches beyond the 2 rows or the 2 keys"),
      (
        2, 2, [.init(rows: 0..<2, keys: 0..<2, reach: .upToBlock(of: 0))],
        "rows 0..<2 × keys 0..<2, up to the own block of 0 has blocks of 0, expected at least 1"
      ),
    ] as [(Int, Int, [AttentionPart], String)])
  func faultsAreNamed(rows: Int, keys: Int, parts: [AttentionPart], fault: String) {
    #expect(AttentionPart.fault(in: parts, rows: rows, keys: keys) == fault)
  }

  /// Small parts at random, looked at element by element.
  @Test func faultsAreThoseThatElementsShow() {
    var generator = CounterGenerator(seed: 1, stream: .corruption)
    func range(below end: Int) -> Range<Int> {
      let places = [generator.integer(below: end + 1), generator.integer(below: end + 1)].sorted()
      return places[0]..<places[1]
    }
    var sound = 0
    for _ in 0..<20_000 {
      let parts = (0...generator.integer(below: 3)).map { _ in
        let reaches: [AttentionPart.Reach] = [
          .all, .upToBlock(of: 1 + generator.integer(below: 3)), .ownBlock(of: 1 + generator.integer(below: 3)),
        ]
        return AttentionPart(
          rows: range(below: 5), keys: range(below: 7), reach: reaches[generator.integer(below: 3)])
      }
      let seen = (0..<5).map { row in (0..<7).map { key in parts.count { $0.allows(row, key) } } }
      let isSound = seen.allSatisfy { $0.contains(1) } && seen.joined().allSatisfy { $0 <= 1 }
      #expect((AttentionPart.fault(in: parts, rows: 5, keys: 7) == nil) == isSound, "\(parts)")
      sound += isSound ? 1 : 0
    }
    #expect(sound > 100)
  }

  @Test func rowsThatSeeNothingStopTheProgramWithWords() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      let keys = Tensor.zeros([3, 2, 8])
      _ = keys.attention(key: keys, value: keys, parts: [AttentionPart(rows: 0..<2, keys: 0..<3)])
    }
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(text.contains("attention in parts: no part shows row 2 a key"))
  }

  @Test func nothingComesOfNoRows() {
    let keys = Tensor.random([3, 2, 8], seed: 1)
    let result = Tensor.zeros([0, 2, 8]).attention(key: keys, value: keys, parts: [])
    #expect(result.shape == [0, 2, 8])
  }
}

extension AttentionPart {
  /// Whether a row looks at a key.
  fileprivate func allows(_ row: Int, _ key: Int) -> Bool {
    guard rows.contains(row), keys.contains(key) else { return false }
    let (row, key) = (row - rows.lowerBound, key - keys.lowerBound)
    return switch reach {
    case .all: true
    case .upToBlock(let size): key / size <= row / size
    case .ownBlock(let size): key / size == row / size
    }
  }
}
