import Checkpoints
import Files
import Foundation
import TestSupport
import Testing

@Suite("Pickles")
struct PickleTests {
  // MARK: Values

  @Test func plainValuesAreRead() throws {
    let data = PickleAssembler.make {
      $0.op("(")
      $0.op("N")
      $0.op(0x88)
      $0.op(0x89)
      $0.op("K", [200])
      $0.op("M", [1, 2])
      $0.integer(-5)
      $0.op(0x8A, [0])
      $0.op(0x8A, [1, 0xFF])
      $0.op(0x8A, [8, 0, 0, 0, 0, 0, 0, 0, 0x80])
      $0.op(0x8A, [9, 0, 0, 0, 0, 0, 0, 0, 0, 1])
      $0.op("G", [0x3F, 0xF8, 0, 0, 0, 0, 0, 0])
      $0.text("wörd")
      $0.op(0x8C, [2, 0x68, 0x69])
      $0.op("U", [1, 0x61])
      $0.op("C", [3, 1, 2, 3])
      $0.op("l")
    }
    #expect(
      try Pickle.plain(data)
        == .list([
          .null, .boolean(true), .boolean(false), .integer(200), .integer(513), .integer(-5), .integer(0), .integer(-1),
          .integer(.min), .text("<integer of more than 64 bits>"), .real(1.5), .text("wörd"), .text("hi"), .text("a"),
          .text("<3 bytes>"),
        ]))
  }

  @Test func containersAreFilledInTheirOrder() throws {
    let data = PickleAssembler.make {
      $0.op("}")
      $0.op("(")
      $0.text("list")
      $0.op("]")
      $0.op("(")
      for number in 0..<5 { $0.integer(Int32(number)) }
      $0.op("e")
      $0.integer(5)
      $0.op("a")
      $0.text("tuple")
      $0.integer(1)
      $0.integer(2)
      $0.integer(3)
      $0.op(0x87)
      $0.op("u")
      $0.text("list")
      $0.op("N")
      $0.op("s")
    }
    // A key that was set again takes the last value, and shows it in both places.
    let root = try Pickle.read(data)
    #expect(root["list"]?.items.map(\.integer) == [])
    #expect(
      try Pickle.plain(data)
        == .object([
          ("list", .list((0...5).map { .integer($0) })), ("tuple", .list([.integer(1), .integer(2), .integer(3)])),
          ("list", .null),
        ]))
  }

  @Test func theMemoRecallsValues() throws {
    let data = PickleAssembler.make {
      $0.text("a")
      $0.op("q", [0])
      $0.text("b")
      $0.op(0x94)
      $0.op("h", [0])
      $0.op("j", [1, 0, 0, 0])
      $0.op(0x86)
      $0.op("2")
      $0.op("0")
    }
    #expect(try Pickle.plain(data) == .list([.text("a"), .text("b")]))
  }

  @Test func whatPythonWouldCallStaysData() throws {
    let data = PickleAssembler.make {
      $0.global("os", "system")
      $0.text("touch pwned")
      $0.op(0x85)
      $0.op("R")
      $0.op("}")
      $0.op("b")
    }
    let value = try Pickle.read(data)
    #expect(value.call?.callable.isGlobal("os", "system") == true)
    #expect(value.call?.arguments.items.map(\.text) == ["touch pwned"])
    #expect(value.entries == nil)
    #expect(try Pickle.plain(data) == .text("<os.system>"))
  }

  @Test func ordereDictionariesAreDictionaries() throws {
    let data = PickleAssembler.make {
      $0.global("collections", "OrderedDict")
      $0.op(")")
      $0.op("R")
      $0.text("a")
      $0.integer(1)
      $0.op("s")
    }
    #expect(try Pickle.plain(data) == .object([("a", .integer(1))]))
  }

  @Test func aValueThatHoldsItselfEnds() throws {
    let data = PickleAssembler.make {
      $0.op("]")
      $0.op("q", [0])
      $0.op("h", [0])
      $0.op("a")
    }
    var value = try Pickle.plain(data)
    var depth = 0
    while case .list(let items) = value, let first = items.first { (value, depth) = (first, depth + 1) }
    #expect(value == .text("…") && depth == 32)
  }

  @Test func aValueThatDoublesAtEveryLevelIsRefused() throws {
    // 30 lists, each holding the one before twice: a billion values if they were written out.
    let data = PickleAssembler.make {
      $0.op("]")
      $0.op("q", [0])
      for level in 0..<30 {
        $0.op("0")
        $0.op("h", [UInt8(level)])
        $0.op("h", [UInt8(level)])
        $0.op(0x86)
        $0.op("q", [UInt8(level + 1)])
      }
    }
    var budget = MemoryBudget(fileSize: data.count)
    let root = try Pickle(data, path: "x", budget: &budget).root
    #expect(throws: MemoryBudget.Exceeded.self) { try PlainValue(root, budget: &budget) }
  }

  // MARK: Damage

  private static let damaged: [(String, Data)] = [
    ("at byte 2: it takes a value from an empty stack", Data([0x80, 2, 0x2E])),
    ("at byte 2: it ends too early", Data([0x80, 2])),
    ("at byte 0: it has protocol 1, expected 2 to 5", Data([0x80, 1, 0x2E])),
    ("at byte 0: it has protocol 6, expected 2 to 5", Data([0x80, 6, 0x2E])),
    ("at byte 2: it has the opcode 0xff, which torch.save does not write", Data([0x80, 2, 0xFF])),
    ("at byte 2: it has the opcode 0x69, which torch.save does not write", Data([0x80, 2, 0x69])),
    ("at byte 2: it goes back to a mark that was not set", Data([0x80, 2, UInt8(ascii: "t")])),
    ("at byte 3: it takes a value from an empty stack", Data([0x80, 2, UInt8(ascii: "N"), 0x86])),
    ("at byte 3: it recalls value 7, which it did not remember", Data([0x80, 2, 0x4E, UInt8(ascii: "h"), 7])),
    ("at byte 2: it remembers a value of an empty stack", Data([0x80, 2, UInt8(ascii: "q"), 0])),
    ("at byte 3: it remembers a value as number 255", Data([0x80, 2, 0x4E, UInt8(ascii: "q"), 255])),
    ("at byte 4: it adds to a value that holds none", Data([0x80, 2, 0x4E, 0x4E, UInt8(ascii: "a")])),
    ("at byte 2: it ends within a value of 4294967295 bytes", Data([0x80, 2, 0x58, 255, 255, 255, 255])),
    (
      "at byte 2: it ends within a value of 18446744073709551615 bytes",
      Data([0x80, 2, 0x8D] + [UInt8](repeating: 255, count: 8))
    ),
    ("at byte 2: it ends within a name", Data([0x80, 2, UInt8(ascii: "c"), 0x61])),
    ("at byte 4: it has a key without a value", Data([0x80, 2, 0x28, 0x4E, UInt8(ascii: "d")])),
    // Below an open mark nothing may be taken.
    ("at byte 4: it takes a value from an empty stack", Data([0x80, 2, 0x4E, 0x28, UInt8(ascii: "0")])),
  ]

  @Test(arguments: damaged) func damageIsNamedWithItsPlace(problem: String, data: Data) {
    #expect(message { try Pickle.read(data) } == "x: its pickle is damaged \(problem)")
  }

  @Test func aPickleOfManySmallValuesIsRefused() throws {
    // An empty dictionary is one byte, and many in memory.
    let data = Data([0x80, 2]) + Data(repeating: UInt8(ascii: "}"), count: 1 << 20)
    #expect(throws: MemoryBudget.Exceeded.self) { try Pickle.read(data) }
    // In a file that is large for other reasons it is only a stack that is too high.
    #expect(message { try Pickle.read(data, fileSize: 1 << 30) }?.contains("it ends too early") == true)
  }

  @Test func aMemoCannotBeMadeLargeByItsNumbers() {
    let data = Data([0x80, 2, 0x4E, UInt8(ascii: "r"), 0xFF, 0xFF, 0xFF, 0x7F, 0x2E])
    #expect(message { try Pickle.read(data) }?.contains("it remembers a value as number 2147483647") == true)
  }
}
