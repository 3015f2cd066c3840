import Files

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
