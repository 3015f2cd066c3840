import CTorch
import Faults

/// ``RaggedAttention`` as devices other than the CPU compute it, where an operation costs the same however little it
/// does: keys and values of many sequences are gathered into one tensor, shorter sequences filled up, so that a block
/// takes a few operations however many sequences there are.
///
/// What says where rows come from and go to is made once for all blocks of a call, and sent to the device at once.
public struct GatheredAttention {
  /// Sequences with about as many queries.
  private struct Group {
    var sequences: Int
    var queries: Int
    var slots: Int
    var queryRows: Tensor?
    var pageRows: Tensor?
    var keyRows: Tensor?
    var keyPlaces: Tensor?
    var bias: Tensor?
    var isCausal = false
  }

  private let groups: [Group]
  private let resultRows: Tensor?
  private let store: Tensor?
  private let keptRows: Tensor?
  private let keptPlaces: Tensor?
  private let blocks: Int

  /// - Parameters:
  ///   - attention: the rows of a call, whose pages, if there are any, are parts of one tensor.
  ///   - heads: of attention.
  ///   - device: where it is computed.
  public init(_ attention: RaggedAttention, heads: Int, device: Device) {
    let pages = attention.store()
    store = pages?.whole
    let shape = pages?.whole.shape ?? []
    blocks = pages == nil ? 1 : shape[1]
    let layout = Layout(
      heads: heads, blocks: blocks, pageSlots: pages == nil ? nil : shape[4], pages: pages?.places ?? [],
      visible: attention.visible, lone: attention.lone,
      rows: attention.sequences.map { Int($0.firstKey + $0.keyCount) }.max() ?? 0)

    var sent = Integers()
    let kept = layout.kept(attention.sequences, &sent)
    let drafts = layout.groups(attention.sequences).map { layout.draft($0, &sent) }
    let results = layout.results(drafts, &sent)
    let all = sent.tensor(on: device)

    keptRows = kept?.rows.map(all.callAsFunction)
    keptPlaces = kept.map { all($0.places) + all($0.offsets) }?.reshaped([blocks, -1])
    resultRows = results.map(all.callAsFunction)
    groups = drafts.map { draft in
      var group = Group(sequences: draft.members.count, queries: draft.queries, slots: draft.slots)
      group.queryRows = draft.queryRows.map(all.callAsFunction)
      group.keyRows = draft.keyRows.map(all.callAsFunction)
      group.pageRows = draft.pageRows.map { (all($0.places) + all($0.offsets)).reshaped([layout.blocks, -1]) }
      group.keyPlaces = draft.keyPlaces.map { (all($0.places) + all($0.offsets)).reshaped([-1]) }
      group.bias = draft.visible.map { visible in
        let lone = draft.lone.map(all.callAsFunction)
        return withExtendedLifetime(lone) {
          produce(all(visible)) { ct_visibility_bias($0, lone?.handle, Int64(draft.slots), $1) }
        }
      }
      group.isCausal = draft.isCausal
      return group
    }
  }

  /// Stores what is kept and attends.
  ///
  /// - Parameters:
  ///   - query: [queries, heads, size].
  ///   - key: [keys, heads, size].
  ///   - value: [keys, heads, size].
  ///   - block: which part of the pages is this block's.
  /// - Returns: [queries, heads, size].
  public func callAsFunction(query: Tensor, key: Tensor, value: Tensor, block: Int = 0) -> Tensor {
    withExtendedLifetime((self, value)) {
      let groups = groups.map { group in
        CTGather(
          sequences: Int64(group.sequences), queries: Int64(group.queries), slots: Int64(group.slots),
          queryRows: group.queryRows?.handle, pageRows: group.pageRows?.handle, keyRows: group.keyRows?.handle,
          keyPlaces: group.keyPlaces?.handle, bias: group.bias?.handle, isCausal: group.isCausal)
      }
      return produce(query, key) { query, key, out in
        ct_gathered_attention(
          query, key, value.handle, groups, Int64(groups.count), resultRows?.handle, store?.handle, keptRows?.handle,
          keptPlaces?.handle, Int64(block), out)
      }
    }
  }
}

/// Integers that go to a device in one transfer.
private struct Integers {
  /// Where some of them are, and their shape.
  struct Part {
    let range: Range<Int>
    let shape: [Int]
  }

  struct Sent {
    let tensor: Tensor
    func callAsFunction(_ part: Part) -> Tensor { tensor.narrowed(dim: 0, to: part.range).reshaped(part.shape) }
  }

  private var all: [Int64] = []

  mutating func add(_ numbers: [Int], shape: [Int]? = nil) -> Part {
    let start = all.count
    all += numbers.map(Int64.init)
    return Part(range: start..<all.count, shape: shape ?? [numbers.count])
  }

  func tensor(on device: Device) -> Sent { Sent(tensor: Tensor(all).to(device)) }
}

/// Where rows come from and go to. Of numbers that differ by block, kind (key or value) and head alone, a table of
/// offsets is sent; the device adds them up.
private struct Layout {
  typealias Places = (places: Integers.Part, offsets: Integers.Part)

  struct Draft {
    var members: [CTSequenceRows]
    var queries: Int
    var slots: Int
    var queryRows: Integers.Part?
    var pageRows: Places?
    var keyRows: Integers.Part?
    var keyPlaces: Places?
    var visible: Integers.Part?
    var lone: Integers.Part?
    var isCausal = false
  }

  let heads: Int
  let blocks: Int
  /// nil where there are no pages.
  let pageSlots: Int?
  /// Which of all pages each of the call's pages is.
  let pages: [Int]
  let visible: [Int64]
  let lone: [Int64]
  /// New rows of all sequences.
  let rows: Int

  /// Which rows the pages take, nil for all, and where in all pages as rows of one head's size.
  func kept(_ sequences: [CTSequenceRows], _ sent: inout Integers) -> (
    rows: Integers.Part?, places: Integers.Part, offsets: Integers.Part
  )? {
    guard let pageSlots, sequences.contains(where: { $0.kept > 0 }) else { return nil }
    var (keptRows, places): ([Int], [Int]) = ([], [])
    for sequence in sequences {
      for row in 0..<Int(sequence.kept) {
        let slot = Int(sequence.stored) + row
        keptRows.append(Int(sequence.firstKey) + row)
        places.append(
          pages[Int(sequence.firstPage) + slot / pageSlots] * blocks * 2 * heads * pageSlots + slot % pageSlots)
      }
    }
    return (
      keptRows.elementsEqual(0..<rows) ? nil : sent.add(keptRows), sent.add(places, shape: [1, 1, places.count, 1]),
      sent.add((0..<blocks * 2 * heads).map { $0 * pageSlots }, shape: [blocks, 2, 1, heads])
    )
  }

  /// The sequences with queries, those with many apart from those with few, and no more of them at once than memory
  /// for a number per query and slot allows.
  func groups(_ sequences: [CTSequenceRows]) -> [[CTSequenceRows]] {
    func size(_ count: Int64) -> Int {
      var size = 16
      while size < count { size *= 2 }
      return size
    }
    let bySize = Dictionary(grouping: sequences.filter { $0.queryCount > 0 }) { size($0.queryCount) }
    return bySize.sorted { $0.key < $1.key }.flatMap { size, members -> [[CTSequenceRows]] in
      let slots = Int(members.map { $0.stored + $0.keyCount }.max()!)
      let most = max(1, (1 << 28) / (size * slots))
      return stride(from: 0, to: members.count, by: most).map { Array(members[$0..<min($0 + most, members.count)]) }
    }
  }

  func draft(_ members: [CTSequenceRows], _ sent: inout Integers) -> Draft {
    let queries = Int(members.map(\.queryCount).max()!)
    let most = Int(members.map { $0.stored + $0.keyCount }.max()!)
    let keyRows = members.flatMap { Int($0.firstKey)..<Int($0.firstKey + $0.keyCount) }
    let hasAllKeys = keyRows.elementsEqual(0..<rows)
    // New keys that need no other place: every sequence begins and has as many.
    let standsAlone = hasAllKeys && members.allSatisfy { $0.stored == 0 && $0.keyCount == members[0].keyCount }
    let unit = pageSlots ?? 16
    var draft = Draft(members: members, queries: queries, slots: standsAlone ? most : (most + unit - 1) / unit * unit)

    let queryRows = members.flatMap { member in
      (0..<queries).map { Int(member.firstQuery) + min($0, Int(member.queryCount) - 1) }
    }
    if !queryRows.elementsEqual(0..<visible.count) { draft.queryRows = sent.add(queryRows) }
    if !standsAlone {
      if !hasAllKeys { draft.keyRows = sent.add(keyRows) }
      draft.keyPlaces = keyPlaces(members, slots: draft.slots, &sent)
      draft.pageRows = pageRows(members, slots: draft.slots, &sent)
    }
    func everyQuery(sees expected: (_ query: Int64) -> Int) -> Bool {
      members.allSatisfy { member in
        (0..<member.queryCount).allSatisfy { visible[Int(member.firstQuery + $0)] == expected($0) }
      }
    }
    draft.isCausal =
      standsAlone && lone.isEmpty && members.allSatisfy { $0.queryCount == $0.keyCount } && everyQuery { Int($0) + 1 }
    if !draft.isCausal, !everyQuery(sees: { _ in draft.slots }) {
      // Rows that fill up look at one slot: a row that sees none has no numbers.
      draft.visible = sent.add(
        members.flatMap { member in
          (0..<Int64(queries)).map { $0 < member.queryCount ? Int(visible[Int(member.firstQuery + $0)]) : 1 }
        }, shape: [members.count, queries])
      if !lone.isEmpty {
        draft.lone = sent.add(
          members.flatMap { member in
            (0..<Int64(queries)).map { $0 < member.queryCount ? Int(lone[Int(member.firstQuery + $0)]) : -1 }
          }, shape: [members.count, queries])
      }
    }
    return draft
  }

  /// Where new keys and values go in [2, sequences, heads, slots].
  private func keyPlaces(_ members: [CTSequenceRows], slots: Int, _ sent: inout Integers) -> Places {
    let places = members.enumerated().flatMap { number, member in
      (member.stored..<member.stored + member.keyCount).map { number * heads * slots + Int($0) }
    }
    let offsets = (0..<2).flatMap { kind in (0..<heads).map { (kind * members.count * heads + $0) * slots } }
    return (sent.add(places, shape: [1, places.count, 1]), sent.add(offsets, shape: [2, 1, heads]))
  }

  /// The pages' rows, of all slots of a head, that make up [blocks, 2, sequences, heads, pages]; nil if nothing is stored.
  private func pageRows(_ members: [CTSequenceRows], slots: Int, _ sent: inout Integers) -> Places? {
    guard let pageSlots, members.contains(where: { $0.stored > 0 }) else { return nil }
    let rows = members.flatMap { member in
      (0..<slots / pageSlots).map { number in
        // What lies beyond is not looked at.
        let own = number * pageSlots < member.stored ? Int(member.firstPage) + number : 0
        return pages[own] * blocks * 2 * heads
      }
    }
    return (
      sent.add(rows, shape: [1, 1, members.count, 1, slots / pageSlots]),
      sent.add(Array(0..<blocks * 2 * heads), shape: [blocks, 2, 1, heads, 1])
    )
  }

  /// Which row of the groups' results, one after another, is each query's; nil where they stand as they should.
  func results(_ drafts: [Draft], _ sent: inout Integers) -> Integers.Part? {
    var rows = [Int](repeating: 0, count: visible.count)
    var start = 0
    for draft in drafts {
      for member in draft.members {
        for query in 0..<Int(member.queryCount) { rows[Int(member.firstQuery) + query] = start + query }
        start += draft.queries
      }
    }
    return start == rows.count && rows.elementsEqual(0..<rows.count) ? nil : sent.add(rows)
  }
}
