import Checkpoints
import Files
import Foundation

/// Pickles byte by byte, as Python would write them or never would.
struct PickleAssembler {
  private(set) var bytes = Data([0x80, 2])

  mutating func op(_ opcode: Unicode.Scalar, _ argument: [UInt8] = []) { bytes += [UInt8(ascii: opcode)] + argument }

  mutating func op(_ opcode: UInt8, _ argument: [UInt8] = []) { bytes += [opcode] + argument }

  mutating func text(_ text: String) { op("X", Self.little(UInt32(text.utf8.count)) + Array(text.utf8)) }

  mutating func integer(_ value: Int32) { op("J", Self.little(UInt32(bitPattern: value))) }

  mutating func global(_ module: String, _ name: String) { op("c", Array("\(module)\n\(name)\n".utf8)) }

  static func little(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }

  /// The pickle with its end.
  var finished: Data { bytes + Data([UInt8(ascii: ".")]) }

  static func make(_ body: (inout PickleAssembler) -> Void) -> Data {
    var assembler = PickleAssembler()
    body(&assembler)
    return assembler.finished
  }
}

extension Pickle {
  /// Reads a pickle with the budget of a file of `fileSize` bytes, its own where nil.
  static func read(_ data: Data, fileSize: Int? = nil) throws -> PickleValue {
    var budget = MemoryBudget(fileSize: fileSize ?? data.count)
    return try Pickle(data, path: "x", budget: &budget).root
  }

  static func plain(_ data: Data) throws -> PlainValue {
    var budget = MemoryBudget(fileSize: 1 << 20)
    return try PlainValue(try read(data), budget: &budget)
  }
}

/// Zip archives, whole or with lies in them.
struct ZipAssembler {
  struct Entry {
    var name: String
    var data: Data
    var method: UInt16 = 0
    var flags: UInt16 = 0
    /// What the directory says in place of the truth.
    var claimedSize: UInt32?
    var claimedHeader: UInt32?
    var headerName: String?
  }

  var entries: [Entry] = []
  var claimedCount: UInt16?
  var comment = Data()
  /// Whether sizes and places are written as 64-bit numbers, as for files of more than 4 GiB.
  var isWide = false

  init(_ entries: [(String, Data)] = []) { self.entries = entries.map { Entry(name: $0.0, data: $0.1) } }

  var data: Data {
    var file = Data()
    var directory = Data()
    for entry in entries {
      let header = UInt32(file.count)
      let name = Data((entry.headerName ?? entry.name).utf8)
      file += Self.bytes(UInt32(0x0403_4B50), UInt16(20), entry.flags, entry.method, UInt32(0), UInt32(0))
      file += Self.bytes(UInt32(entry.data.count), UInt32(entry.data.count), UInt16(name.count), UInt16(0)) + name
      file += entry.data
      let (size, place) = (entry.claimedSize ?? UInt32(entry.data.count), entry.claimedHeader ?? header)
      let extra =
        isWide ? Self.bytes(UInt16(1), UInt16(24), UInt64(size)) + Self.bytes(UInt64(size), UInt64(place)) : Data()
      let (narrowSize, narrowPlace) = isWide ? (UInt32.max, UInt32.max) : (size, place)
      directory += Self.bytes(UInt32(0x0201_4B50), UInt16(20), UInt16(20), entry.flags, entry.method, UInt32(0))
      directory += Self.bytes(UInt32(0), narrowSize, narrowSize, UInt16(entry.name.utf8.count), UInt16(extra.count))
      directory += Self.bytes(UInt16(0), UInt16(0), UInt16(0), UInt32(0), narrowPlace) + Data(entry.name.utf8) + extra
    }
    let count = claimedCount ?? UInt16(entries.count)
    let start = file.count
    file += directory
    if isWide {
      let record = file.count
      file += Self.bytes(UInt32(0x0606_4B50), UInt64(44), UInt16(45), UInt16(45), UInt32(0), UInt32(0))
      file += Self.bytes(UInt64(count), UInt64(count), UInt64(directory.count), UInt64(start))
      file += Self.bytes(UInt32(0x0706_4B50), UInt32(0), UInt64(record), UInt32(1))
    }
    file += Self.bytes(UInt32(0x0605_4B50), UInt16(0), UInt16(0), count, count)
    file += Self.bytes(
      isWide ? UInt32.max : UInt32(directory.count), isWide ? UInt32.max : UInt32(start), UInt16(comment.count))
    return file + comment
  }

  static func bytes<each Number: FixedWidthInteger>(_ numbers: repeat each Number) -> Data {
    var data = Data()
    func append<N: FixedWidthInteger>(_ number: N) { withUnsafeBytes(of: number.littleEndian) { data += Data($0) } }
    repeat append(each numbers)
    return data
  }
}
