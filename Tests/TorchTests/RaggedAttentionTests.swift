import TestSupport
import Testing
import Torch

@Suite("Ragged attention")
struct RaggedAttentionTests {
  private let heads = 3

  /// A sequence of a call: its new rows, and what its pages hold of the slots before.
  private struct Member {
    var stored: Int
    var rows: Int
    var kept = 0
    /// The last of its rows that ask.
    var queries: Int
    var visible: [Int]
    /// Slots that rows see besides.
    var lone: [Int: Int] = [:]
  }

  /// Parts of one tensor, as a pool's pages are.
  private func pages(_ counts: [Int], size: Int) -> [[Tensor]] {
    let shape = [2, 2, heads, 5, size]
    let all = Tensor.random([counts.reduce(0, +)] + shape, seed: 10)
    var next = 0
    return counts.map { count in
      defer { next += count }
      return (next..<next + count).map { all.narrowed(dim: 0, to: $0..<$0 + 1).reshaped(shape) }
    }
  }

  private func attend(
    _ attention: RaggedAttention, _ query: Tensor, _ key: Tensor, _ value: Tensor, block: Int, fused: Bool
  ) -> Tensor {
    fused
      ? attention(query: query, key: key, value: value, block: block)
      : GatheredAttention(attention, heads: key.size(1), device: .cpu)(
        query: query, key: key, value: value, block: block)
  }

  /// All rows one after another, attended to at once, and each sequence by itself, with all its slots in one tensor.
  private func check(_ members: [Member], size: Int, fused: Bool, tolerance: Double = 1e-6) {
    let block = 1
    var (rows, queries) = (0, 0)
    var sequences: [RaggedAttention.Sequence] = []
    var slots: [(keys: Tensor, values: Tensor)] = []
    let all = members.reduce(0) { $0 + $1.rows }
    let (key, value) = (Tensor.random([all, heads, size], seed: 1), Tensor.random([all, heads, size], seed: 2))
    let query = Tensor.random([members.reduce(0) { $0 + $1.queries }, heads, size], seed: 3)
    // Pages of five slots, of two blocks.
    let allPages = pages(members.map { ($0.stored + $0.kept + 4) / 5 }, size: size)
    for (member, pages) in zip(members, allPages) {
      func stored(_ kind: Int) -> [Tensor] {
        guard member.stored > 0 else { return [] }
        let parts = pages.map {
          $0.narrowed(dim: 0, to: block..<block + 1).narrowed(dim: 1, to: kind..<kind + 1).reshaped([heads, 5, size])
        }
        return [Tensor.concatenated(parts, dim: 1).narrowed(dim: 1, to: 0..<member.stored).transposed(0, 1)]
      }
      slots.append(
        (
          .concatenated(stored(0) + [key.narrowed(dim: 0, to: rows..<rows + member.rows)]),
          .concatenated(stored(1) + [value.narrowed(dim: 0, to: rows..<rows + member.rows)])
        ))
      sequences.append(
        .init(
          queries: queries..<queries + member.queries, keys: rows..<rows + member.rows, stored: member.stored,
          kept: member.kept, pages: pages))
      rows += member.rows
      queries += member.queries
    }
    let result = attend(
      RaggedAttention(
        sequences, visible: members.flatMap(\.visible),
        lone: members.flatMap { member in (0..<member.queries).map { member.lone[$0] } }), query, key, value,
      block: block, fused: fused)
    for (number, member) in members.enumerated() {
      let own = query.narrowed(dim: 0, to: sequences[number].queries).transposed(0, 1)
      func batched(_ x: Tensor) -> Tensor { x.reshaped([1] + x.shape) }
      let expected = batched(own).attention(
        key: batched(slots[number].keys.transposed(0, 1)), value: batched(slots[number].values.transposed(0, 1))
      ) { row, slot in slot < member.visible[row] || member.lone[row] == slot }
      let found = result.narrowed(dim: 0, to: sequences[number].queries).transposed(0, 1)
      #expect(distance(batched(found), expected) < tolerance)
      // What is kept stands behind what was stored.
      for slot in member.stored..<member.stored + member.kept {
        let page = sequences[number].pages[slot / 5].narrowed(dim: 0, to: block..<block + 1)
        let place = page.narrowed(dim: 3, to: slot % 5..<slot % 5 + 1).reshaped([2, heads, size])
        let row = sequences[number].keys.lowerBound + slot - member.stored
        #expect(distance(place.narrowed(dim: 0, to: 0..<1), key.narrowed(dim: 0, to: row..<row + 1)) == 0)
        #expect(distance(place.narrowed(dim: 0, to: 1..<2), value.narrowed(dim: 0, to: row..<row + 1)) == 0)
      }
    }
  }

  /// Few rows are computed in another way than many, and so are heads of some sizes. A row's neighbour sees as many
  /// slots, one more, or any other number.
  @Test(arguments: [8, 16, 32, 64, 128], [true, false])
  func itIsAWeightedMeanOfEachSequence(size: Int, fused: Bool) {
    check(
      [
        Member(stored: 0, rows: 1, queries: 1, visible: [1]),
        Member(stored: 12, rows: 3, kept: 2, queries: 2, visible: [14, 15]),
        Member(stored: 0, rows: 20, kept: 7, queries: 20, visible: Array(1...20)),
        Member(stored: 5, rows: 4, kept: 4, queries: 0, visible: []),
        Member(stored: 31, rows: 24, kept: 24, queries: 24, visible: (0..<24).map { 32 + $0 }),
        Member(stored: 10, rows: 18, queries: 18, visible: (0..<18).map { ($0 * 29) % 28 + 1 }),
        Member(stored: 10, rows: 7, kept: 1, queries: 7, visible: (0..<7).map { ($0 * 13) % 17 + 1 }),
        Member(stored: 3, rows: 40, queries: 17, visible: Array(repeating: 43, count: 17)),
      ], size: size, fused: fused)
  }

  /// A mask that is fed behind others sees itself and not those.
  @Test(arguments: [8, 16, 32, 48, 64, 128], [true, false])
  func aRowMaySeeItselfBesides(size: Int, fused: Bool) {
    check(
      [
        Member(
          stored: 12, rows: 11, kept: 4, queries: 11, visible: (0..<7).map { 13 + $0 } + [13, 14, 15, 16],
          lone: [7: 19, 8: 20, 9: 21, 10: 22]),
        Member(stored: 0, rows: 2, queries: 2, visible: [1, 2]),
        Member(stored: 0, rows: 9, queries: 3, visible: [1, 8, 3], lone: [0: 8, 2: 7]),
        Member(stored: 31, rows: 5, queries: 5, visible: [32, 16, 17, 31, 36], lone: [1: 33, 2: 31, 3: 35]),
      ], size: size, fused: fused)
  }

  /// Where no slot is stored, keys need no other place if all sequences have as many, and a triangle no mask.
  @Test(arguments: [true, false]) func sequencesMayStandAlone(fused: Bool) {
    for visible in [Array(1...9), Array(repeating: 9, count: 9), [9, 1, 4, 4, 2, 9, 8, 3, 3]] {
      let member = Member(stored: 0, rows: 9, queries: 9, visible: visible)
      check([member, member], size: 16, fused: fused)
      check([member, Member(stored: 0, rows: 3, queries: 3, visible: [1, 2, 3])], size: 16, fused: fused)
    }
    check([Member(stored: 0, rows: 9, queries: 2, visible: [3, 9])], size: 16, fused: fused)
    check([Member(stored: 5, rows: 5, queries: 5, visible: Array(repeating: 10, count: 5))], size: 16, fused: fused)
  }

  /// Keys and values of 16 bits are those of 32 bits that were rounded.
  @Test(arguments: [8, 64], [2, 20]) func pagesMayHoldBFloat16(size: Int, rows: Int) {
    let (query, key, value) = (
      Tensor.random([rows, heads, size], seed: 1), Tensor.random([rows, heads, size], seed: 2),
      Tensor.random([rows, heads, size], seed: 3)
    )
    func attended(_ dtype: DType, _ fused: Bool) -> (Tensor, page: Tensor) {
      let page = Tensor.random([2, 2, heads, 40, size], seed: 4).to(.bfloat16).to(dtype)
      let attention = RaggedAttention(
        [.init(queries: 0..<rows, keys: 0..<rows, stored: 15, kept: rows, pages: [page])],
        visible: (0..<rows).map { 16 + $0 })
      return (attend(attention, query, key, value, block: 1, fused: fused), page)
    }
    for fused in [true, false] {
      let (half, page) = attended(.bfloat16, fused)
      let (whole, wholePage) = attended(.float32, true)
      #expect(distance(half, whole) < 1e-6)
      #expect(distance(page.to(.float32), wholePage.to(.bfloat16).to(.float32)) == 0)
    }
  }

  /// The same bits alone and among others, and with more rows of its own.
  @Test(arguments: [16, 32, 64, 128]) func rowsDoNotDependOnEachOther(size: Int) {
    let (query, key, value) = (
      Tensor.random([16, heads, size], seed: 1), Tensor.random([16, heads, size], seed: 2),
      Tensor.random([16, heads, size], seed: 3)
    )
    let visible = (0..<16).map { ($0 * 7) % 16 + 1 }
    let all = RaggedAttention([.init(queries: 0..<16, keys: 0..<16)], visible: visible)(
      query: query, key: key, value: value)
    for count in 1...16 {
      for first in stride(from: 0, to: 16 - count + 1, by: 3) {
        let part = RaggedAttention(
          [.init(queries: 0..<count, keys: 0..<16)], visible: Array(visible[first..<first + count]))(
            query: query.narrowed(dim: 0, to: first..<first + count), key: key, value: value)
        let expected = all.narrowed(dim: 0, to: first..<first + count)
        #expect(part.array(of: Float.self) == expected.array(of: Float.self))
      }
    }
  }

  /// However large or small the scores are, and also where a row looks at one slot alone.
  @Test(arguments: [0, 1, 40, 1000] as [Double])
  func fewRowsAreStable(factor: Double) {
    let query = Tensor.random([2, 2, 64], seed: 1) * factor
    let (key, value) = (Tensor.random([50, 2, 64], seed: 2), Tensor.random([50, 2, 64], seed: 3))
    for visible in [[1, 50], [17, 18]] {
      let result = RaggedAttention([.init(queries: 0..<2, keys: 0..<50)], visible: visible)(
        query: query, key: key, value: value)
      func batched(_ x: Tensor) -> Tensor { x.transposed(0, 1).reshaped([1, x.size(1), x.size(0), x.size(2)]) }
      let expected = batched(query).attention(key: batched(key), value: batched(value)) { row, slot in
        slot < visible[row]
      }
      #expect(distance(batched(result), expected) < 1e-6 * max(1, factor))
    }
  }

  /// A score that is NaN leaves its row without numbers, and no other one.
  @Test func fewRowsHideNoDamage() {
    let query = Tensor.random([3, 1, 32], seed: 1)
    var keys = Tensor.random([20, 1, 32], seed: 2).array(of: Float.self)
    keys[17 * 32 + 5] = .nan
    let value = Tensor.random([20, 1, 32], seed: 3)
    let result = RaggedAttention([.init(queries: 0..<3, keys: 0..<20)], visible: [17, 18, 20])(
      query: query, key: Tensor(keys, shape: [20, 1, 32]), value: value)
    #expect(result.array(of: Float.self).map(\.isNaN) == (0..<96).map { $0 >= 32 })
  }
}
