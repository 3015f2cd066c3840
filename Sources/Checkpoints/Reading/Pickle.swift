import Files
import Foundation

/// The data of a Python pickle.
///
/// Python runs a pickle: its opcodes name functions, which are imported and called. Here nothing is imported, called or
/// run. A name is a ``Node/global(module:name:)``, a call is an ``Object`` that remembers what was to be called and with
/// what, and both stay what they are: data, which `TorchFile` looks at for the few names that it knows.
///
/// Values stand in one flat array and refer to each other by number, so what a hostile pickle nests or ties into a knot
/// costs no recursion here; who walks through values bounds the walk.
package final class Pickle: Sendable {
  /// One value. Text and bytes stay where they are in the pickle.
  package enum Node: BitwiseCopyable {
    case none
    case boolean(Bool)
    case integer(Int64)
    /// An integer of more than 64 bits, of which only that is known.
    case hugeInteger
    case real(Double)
    case text(start: UInt32, count: UInt32)
    case bytes(start: UInt32, count: UInt32)
    case tuple(Chain)
    case list(Chain)
    case set(Chain)
    /// Keys and values in turn.
    case dictionary(Chain)
    case global(module: UInt32, name: UInt32)
    /// A reference to something outside the pickle, described by a value.
    case persistent(UInt32)
    /// By its number among the objects.
    case object(UInt32)
  }

  /// Values one after another: links in one array of them.
  package struct Chain: BitwiseCopyable {
    static let nowhere = UInt32.max

    var first = Chain.nowhere
    var last = Chain.nowhere
  }

  struct Link: BitwiseCopyable {
    var value: UInt32
    var next: UInt32
  }

  /// Something that Python would have made by calling: inert here.
  struct Object: BitwiseCopyable {
    var callable: UInt32
    var arguments: UInt32
    /// What its `__setstate__` would have been given.
    var state: UInt32?
    /// What would have been appended to it, or set in it as keys and values in turn.
    var contents = Chain()
  }

  let data: Data
  let nodes: [Node]
  let links: [Link]
  let objects: [Object]
  let rootIndex: UInt32

  package var root: PickleValue { PickleValue(self, rootIndex) }

  /// Reads a pickle; `path` is only for messages.
  package init(_ data: Data, path: String, budget: inout MemoryBudget) throws {
    guard data.count < Int(UInt32.max) else {
      throw FileError("\(path): its pickle has \(data.count) bytes, expected fewer than \(UInt32.max)")
    }
    var machine = PickleMachine(budget: budget)
    defer { budget = machine.budget }
    do {
      rootIndex = try data.withUnsafeBytes { try machine.run(LittleEndianBytes($0)) }
    } catch let error as PickleMachine.Failure {
      throw FileError("\(path): its pickle is damaged at byte \(error.place): \(error.problem)")
    }
    self.data = data
    nodes = machine.nodes.elements
    links = machine.links.elements
    objects = machine.objects.elements
  }
}

/// Reads a pickle's opcodes into values, as far as PyTorch and its users write them (protocols 2 to 5 in binary).
///
/// Every step takes at least one byte of the pickle, and every allocation comes from the budget, so any input ends soon
/// and small.
private struct PickleMachine {
  var budget: MemoryBudget
  private(set) var nodes = BudgetedArray<Pickle.Node>()
  private(set) var links = BudgetedArray<Pickle.Link>()
  private(set) var objects = BudgetedArray<Pickle.Object>()
  private var stack = BudgetedArray<UInt32>()
  /// How high the stack was at each mark that is still open.
  private var marks = BudgetedArray<UInt32>()
  private var memo = BudgetedArray<UInt32>()
  private var place = 0
  private var opcodePlace = 0

  init(budget: MemoryBudget) { self.budget = budget }

  /// What is wrong, and at which byte.
  struct Failure: Error {
    var place: Int
    var problem: String
  }

  private static let nothing = UInt32.max

  private func refuse(_ problem: String) -> Failure { Failure(place: opcodePlace, problem: problem) }

  /// The number of the value that the pickle stands for.
  mutating func run(_ bytes: LittleEndianBytes) throws -> UInt32 {
    while true {
      opcodePlace = place
      let opcode = try take(UInt8.self, bytes)
      if opcode == UInt8(ascii: ".") { return try pop() }
      try step(opcode, bytes)
    }
  }

  private mutating func step(_ opcode: UInt8, _ bytes: LittleEndianBytes) throws {
    switch opcode {
    case 0x80:  // PROTO
      let version = try take(UInt8.self, bytes)
      guard (2...5).contains(version) else { throw refuse("it has protocol \(version), expected 2 to 5") }
    case 0x95: _ = try take(UInt64.self, bytes)  // FRAME

    // Plain values.
    case UInt8(ascii: "N"): try push(.none)
    case 0x88: try push(.boolean(true))  // NEWTRUE
    case 0x89: try push(.boolean(false))  // NEWFALSE
    case UInt8(ascii: "J"): try push(.integer(Int64(try take(Int32.self, bytes))))  // BININT
    case UInt8(ascii: "K"): try push(.integer(Int64(try take(UInt8.self, bytes))))  // BININT1
    case UInt8(ascii: "M"): try push(.integer(Int64(try take(UInt16.self, bytes))))  // BININT2
    case 0x8A: try pushLong(count: UInt64(try take(UInt8.self, bytes)), bytes)  // LONG1
    case 0x8B: try pushLong(count: UInt64(try take(UInt32.self, bytes)), bytes)  // LONG4
    case UInt8(ascii: "G"):  // BINFLOAT, big-endian
      try push(.real(Double(bitPattern: try take(UInt64.self, bytes).byteSwapped)))
    case UInt8(ascii: "X"): try pushText(count: UInt64(try take(UInt32.self, bytes)), bytes)  // BINUNICODE
    case UInt8(ascii: "T"): try pushText(count: UInt64(try take(UInt32.self, bytes)), bytes)  // BINSTRING
    case 0x8C, UInt8(ascii: "U"):  // SHORT_BINUNICODE, SHORT_BINSTRING
      try pushText(count: UInt64(try take(UInt8.self, bytes)), bytes)
    case 0x8D: try pushText(count: try take(UInt64.self, bytes), bytes)  // BINUNICODE8
    case UInt8(ascii: "B"): try pushBytes(count: UInt64(try take(UInt32.self, bytes)), bytes)  // BINBYTES
    case UInt8(ascii: "C"): try pushBytes(count: UInt64(try take(UInt8.self, bytes)), bytes)  // SHORT_BINBYTES
    case 0x8E, 0x96: try pushBytes(count: try take(UInt64.self, bytes), bytes)  // BINBYTES8, BYTEARRAY8

    // Containers.
    case UInt8(ascii: ")"): try push(.tuple(.init()))  // EMPTY_TUPLE
    case 0x85: try push(.tuple(try chain(last: 1)))  // TUPLE1
    case 0x86: try push(.tuple(try chain(last: 2)))  // TUPLE2
    case 0x87: try push(.tuple(try chain(last: 3)))  // TUPLE3
    case UInt8(ascii: "t"): try push(.tuple(try chain(last: try countFromMark())))  // TUPLE
    case UInt8(ascii: "]"): try push(.list(.init()))  // EMPTY_LIST
    case UInt8(ascii: "l"): try push(.list(try chain(last: try countFromMark())))  // LIST
    case UInt8(ascii: "}"): try push(.dictionary(.init()))  // EMPTY_DICT
    case UInt8(ascii: "d"): try push(.dictionary(try pairs(last: try countFromMark())))  // DICT
    case 0x8F: try push(.set(.init()))  // EMPTY_SET
    case 0x91: try push(.set(try chain(last: try countFromMark())))  // FROZENSET
    case UInt8(ascii: "a"): try extend(with: try chain(last: 1), pairs: false)  // APPEND
    case UInt8(ascii: "e"), 0x90:  // APPENDS, ADDITEMS
      try extend(with: try chain(last: try countFromMark()), pairs: false)
    case UInt8(ascii: "s"): try extend(with: try pairs(last: 2), pairs: true)  // SETITEM
    case UInt8(ascii: "u"): try extend(with: try pairs(last: try countFromMark()), pairs: true)  // SETITEMS

    // The stack and the memo.
    case UInt8(ascii: "("): try marks.append(UInt32(stack.count), &budget)  // MARK
    case UInt8(ascii: "0"): _ = try pop()  // POP
    case UInt8(ascii: "1"): stack.removeLast(try countFromMark())  // POP_MARK
    case UInt8(ascii: "2"):  // DUP
      let top = try pop()
      try stack.append(top, &budget)
      try stack.append(top, &budget)
    case UInt8(ascii: "q"): try remember(Int(try take(UInt8.self, bytes)), bytes)  // BINPUT
    case UInt8(ascii: "r"): try remember(Int(try take(UInt32.self, bytes)), bytes)  // LONG_BINPUT
    case 0x94: try remember(memo.count, bytes)  // MEMOIZE
    case UInt8(ascii: "h"): try recall(Int(try take(UInt8.self, bytes)))  // BINGET
    case UInt8(ascii: "j"): try recall(Int(try take(UInt32.self, bytes)))  // LONG_BINGET

    // What Python would import, call and execute: remembered, and no more.
    case UInt8(ascii: "c"):  // GLOBAL
      let module = try line(bytes)
      try push(.global(module: module, name: try line(bytes)))
    case 0x93:  // STACK_GLOBAL
      let name = try pop()
      try push(.global(module: try pop(), name: name))
    case UInt8(ascii: "R"), 0x81:  // REDUCE, NEWOBJ
      let arguments = try pop()
      try pushObject(callable: try pop(), arguments: arguments)
    case 0x92:  // NEWOBJ_EX
      let named = try pop()
      let arguments = try pop()
      let callable = try pop()
      try pushObject(callable: callable, arguments: arguments, state: named)
    case UInt8(ascii: "b"):  // BUILD
      let state = try pop()
      let target = try pop()
      if case .object(let number) = nodes[Int(target)] { objects[Int(number)].state = state }
      try stack.append(target, &budget)
    case UInt8(ascii: "Q"): try push(.persistent(try pop()))  // BINPERSID

    default:
      throw refuse("it has the opcode 0x\(String(opcode, radix: 16)), which torch.save does not write")
    }
  }

  // MARK: Bytes

  private mutating func take<Number: FixedWidthInteger>(_: Number.Type, _ bytes: LittleEndianBytes) throws -> Number {
    guard let number = bytes.number(Number.self, at: place) else { throw refuse("it ends too early") }
    place += MemoryLayout<Number>.size
    return number
  }

  private mutating func takeRange(count: UInt64, _ bytes: LittleEndianBytes) throws -> (start: UInt32, count: UInt32) {
    guard count <= UInt64(bytes.count - place) else { throw refuse("it ends within a value of \(count) bytes") }
    defer { place += Int(count) }
    return (UInt32(place), UInt32(count))
  }

  /// A line of text, as a value.
  private mutating func line(_ bytes: LittleEndianBytes) throws -> UInt32 {
    let start = place
    while place < bytes.count, bytes[place] != UInt8(ascii: "\n") { place += 1 }
    guard place < bytes.count else { throw refuse("it ends within a name") }
    place += 1
    return try add(.text(start: UInt32(start), count: UInt32(place - 1 - start)))
  }

  // MARK: Values

  private mutating func add(_ node: Pickle.Node) throws -> UInt32 {
    try nodes.append(node, &budget)
    return UInt32(nodes.count - 1)
  }

  private mutating func push(_ node: Pickle.Node) throws { try stack.append(try add(node), &budget) }

  private mutating func pushText(count: UInt64, _ bytes: LittleEndianBytes) throws {
    let range = try takeRange(count: count, bytes)
    try push(.text(start: range.start, count: range.count))
  }

  private mutating func pushBytes(count: UInt64, _ bytes: LittleEndianBytes) throws {
    let range = try takeRange(count: count, bytes)
    try push(.bytes(start: range.start, count: range.count))
  }

  /// A two's complement number of any length.
  private mutating func pushLong(count: UInt64, _ bytes: LittleEndianBytes) throws {
    let range = try takeRange(count: count, bytes)
    guard range.count <= 8 else { return try push(.hugeInteger) }
    var value: Int64 = 0
    for offset in 0..<Int(range.count) { value |= Int64(bytes[Int(range.start) + offset]) << (8 * offset) }
    if range.count > 0, range.count < 8, value >> (8 * Int64(range.count) - 1) & 1 == 1 {
      value -= 1 << (8 * Int64(range.count))
    }
    try push(.integer(value))
  }

  private mutating func pushObject(callable: UInt32, arguments: UInt32, state: UInt32? = nil) throws {
    try objects.append(Pickle.Object(callable: callable, arguments: arguments, state: state), &budget)
    try push(.object(UInt32(objects.count - 1)))
  }

  // MARK: Stack and memo

  /// The stack as far as the last mark is all that may be taken.
  private mutating func pop() throws -> UInt32 {
    guard stack.count > Int(marks.elements.last ?? 0) else { throw refuse("it takes a value from an empty stack") }
    return stack.removeLast()
  }

  /// How many values stand above the last mark, which is taken away.
  private mutating func countFromMark() throws -> Int {
    guard marks.count > 0 else { throw refuse("it goes back to a mark that was not set") }
    return stack.count - Int(marks.removeLast())
  }

  private mutating func remember(_ number: Int, _ bytes: LittleEndianBytes) throws {
    guard stack.count > Int(marks.elements.last ?? 0) else { throw refuse("it remembers a value of an empty stack") }
    // Pickles number what they remember from 0 up, so there are fewer than bytes.
    guard number < bytes.count else { throw refuse("it remembers a value as number \(number)") }
    while memo.count <= number { try memo.append(Self.nothing, &budget) }
    memo[number] = stack[stack.count - 1]
  }

  private mutating func recall(_ number: Int) throws {
    guard number < memo.count, memo[number] != Self.nothing else {
      throw refuse("it recalls value \(number), which it did not remember")
    }
    try stack.append(memo[number], &budget)
  }

  // MARK: Containers

  /// The last values of the stack, taken away, as a chain in their order.
  private mutating func chain(last count: Int) throws -> Pickle.Chain {
    let start = stack.count - count
    guard start >= Int(marks.elements.last ?? 0) else { throw refuse("it takes a value from an empty stack") }
    guard count > 0 else { return .init() }
    let first = UInt32(links.count)
    for index in start..<stack.count {
      let isLast = index == stack.count - 1
      try links.append(
        .init(value: stack[index], next: isLast ? Pickle.Chain.nowhere : UInt32(links.count + 1)), &budget)
    }
    stack.removeLast(count)
    return .init(first: first, last: UInt32(links.count - 1))
  }

  private mutating func pairs(last count: Int) throws -> Pickle.Chain {
    guard count.isMultiple(of: 2) else { throw refuse("it has a key without a value") }
    return try chain(last: count)
  }

  /// Adds to the container on top of the stack, which stays there.
  private mutating func extend(with more: Pickle.Chain, pairs: Bool) throws {
    let target = try pop()
    try stack.append(target, &budget)
    switch nodes[Int(target)] {
    case .list(let chain) where !pairs: nodes[Int(target)] = .list(joined(chain, more))
    case .set(let chain) where !pairs: nodes[Int(target)] = .set(joined(chain, more))
    case .dictionary(let chain) where pairs: nodes[Int(target)] = .dictionary(joined(chain, more))
    case .object(let number):
      objects[Int(number)].contents = joined(objects[Int(number)].contents, more)
    default: throw refuse("it adds to a value that holds none")
    }
  }

  private mutating func joined(_ first: Pickle.Chain, _ second: Pickle.Chain) -> Pickle.Chain {
    guard first.last != Pickle.Chain.nowhere else { return second }
    guard second.first != Pickle.Chain.nowhere else { return first }
    links[Int(first.last)].next = second.first
    return .init(first: first.first, last: second.last)
  }
}
