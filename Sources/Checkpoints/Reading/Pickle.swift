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

/// A value of a pickle, to be looked at.
package struct PickleValue: Sendable {
  let pickle: Pickle
  let index: UInt32

  init(_ pickle: Pickle, _ index: UInt32) {
    self.pickle = pickle
    self.index = index
  }

  package var node: Pickle.Node { pickle.nodes[Int(index)] }

  package var integer: Int? { if case .integer(let value) = node { Int(value) } else { nil } }

  package var text: String? {
    guard case .text(let start, let count) = node else { return nil }
    return String(decoding: pickle.data.bytes(Int(start)..<Int(start) + Int(count)), as: UTF8.self)
  }

  package func isText(_ expected: StaticString) -> Bool {
    guard case .text(let start, let count) = node, count == expected.utf8CodeUnitCount else { return false }
    let expected = UnsafeBufferPointer(start: expected.utf8Start, count: expected.utf8CodeUnitCount)
    return pickle.data.bytes(Int(start)..<Int(start) + Int(count)).elementsEqual(expected)
  }

  /// What a tuple, list or set holds, or what was appended to an object.
  package var items: PickleItems {
    switch node {
    case .tuple(let chain), .list(let chain), .set(let chain), .dictionary(let chain): PickleItems(pickle, chain)
    case .object(let number): PickleItems(pickle, pickle.objects[Int(number)].contents)
    default: PickleItems(pickle, .init())
    }
  }

  /// The keys and values of a dictionary, or what was set in an object that is one in Python, as `OrderedDict`.
  package var entries: PickleEntries? {
    switch node {
    case .dictionary(let chain): return PickleEntries(items: PickleItems(pickle, chain))
    case .object:
      guard let callable = call?.callable,
        callable.isGlobal("collections", "OrderedDict") || callable.isGlobal("collections", "defaultdict")
      else { return nil }
      return PickleEntries(items: items)
    default: return nil
    }
  }

  /// The value of a text key: the last one set, as in Python.
  package subscript(key: StaticString) -> PickleValue? {
    guard let entries else { return nil }
    var found: PickleValue?
    for entry in entries where entry.key.isText(key) { found = entry.value }
    return found
  }

  /// What an object was to be made by.
  package var call: (callable: PickleValue, arguments: PickleValue)? {
    guard case .object(let number) = node else { return nil }
    let object = pickle.objects[Int(number)]
    return (PickleValue(pickle, object.callable), PickleValue(pickle, object.arguments))
  }

  /// What an object's `__setstate__` would have been given.
  package var state: PickleValue? {
    guard case .object(let number) = node else { return nil }
    return pickle.objects[Int(number)].state.map { PickleValue(pickle, $0) }
  }

  /// A name of Python's, as module and name.
  package var global: (module: PickleValue, name: PickleValue)? {
    guard case .global(let module, let name) = node else { return nil }
    return (PickleValue(pickle, module), PickleValue(pickle, name))
  }

  package func isGlobal(_ module: StaticString, _ name: StaticString) -> Bool {
    guard let global else { return false }
    return global.module.isText(module) && global.name.isText(name)
  }
}

/// The values of a chain, one after another.
package struct PickleItems: Sequence, IteratorProtocol {
  private let pickle: Pickle
  private var upcoming: UInt32

  init(_ pickle: Pickle, _ chain: Pickle.Chain) {
    self.pickle = pickle
    upcoming = chain.first
  }

  package mutating func next() -> PickleValue? {
    guard upcoming != Pickle.Chain.nowhere else { return nil }
    let link = pickle.links[Int(upcoming)]
    upcoming = link.next
    return PickleValue(pickle, link.value)
  }
}

/// Keys and values.
package struct PickleEntries: Sequence, IteratorProtocol {
  fileprivate var items: PickleItems

  package mutating func next() -> (key: PickleValue, value: PickleValue)? {
    guard let key = items.next(), let value = items.next() else { return nil }
    return (key, value)
  }
}
