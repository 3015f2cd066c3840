import Files
import Foundation

/// The zip container of `torch.save`: entries stored as they are, one after another, and a directory at the end.
///
/// An archive is hostile input. Where the directory lies, where each entry lies and how long it is, are checked against
/// the file and against each other before anything is read: an entry within the file, none inside another, no name
/// twice, and what the directory says of an entry equal to what stands before its bytes. Checksums of entries are not
/// compared, as PyTorch does not either: it can be told to write none.
package struct ZipArchive {
  let path: String
  private let data: Data
  /// Sorted by name.
  private let entries: [Entry]

  /// What the directory says of one entry. Names stay where they are in the file.
  private struct Entry: BitwiseCopyable {
    var nameStart: Int
    var nameCount: Int
    var header: Int
    var size: Int
    var isPlain: Bool
    var start = 0

    var name: Range<Int> { nameStart..<nameStart + nameCount }
  }

  private static let endSize = 22
  private static let directoryEntrySize = 46
  private static let headerSize = 30

  package init(_ data: Data, path: String, budget: inout MemoryBudget) throws {
    self.path = path
    self.data = data
    entries = try data.withUnsafeBytes { bytes in
      try Self.readDirectory(LittleEndianBytes(bytes), path: path, budget: &budget)
    }
  }

  /// Whether data starts as a zip file does.
  static func isZip(_ data: Data) -> Bool {
    data.starts(with: [0x50, 0x4B, 3, 4]) || data.starts(with: [0x50, 0x4B, 5, 6])
  }

  // MARK: Looking

  /// The names of all entries that end with a text.
  package func names(endingWith suffix: String) -> [String] {
    entries.lazy.map { String(decoding: data.bytes($0.name), as: UTF8.self) }.filter { $0.hasSuffix(suffix) }
  }

  /// Where an entry's bytes lie in the file; nil if there is no such entry.
  package func range(of name: String) throws -> Range<Int>? {
    let utf8 = Array(name.utf8)
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if data.bytes(entries[middle].name).lexicographicallyPrecedes(utf8) { low = middle + 1 } else { high = middle }
    }
    guard low < entries.count, data.bytes(entries[low].name).elementsEqual(utf8) else { return nil }
    let entry = entries[low]
    guard entry.isPlain else {
      throw FileError("\(path): its entry '\(name)' is compressed or encrypted, expected it stored as torch.save does")
    }
    return entry.start..<entry.start + entry.size
  }

  // MARK: Reading the directory

  private static func readDirectory(
    _ bytes: LittleEndianBytes, path: String, budget: inout MemoryBudget
  ) throws -> [Entry] {
    func refuse(_ what: String) -> FileError { FileError("\(path) is no whole zip file: \(what)") }
    let directory = try findDirectory(bytes, path: path)
    var entries = BudgetedArray<Entry>()
    var place = directory.range.lowerBound
    for number in 0..<directory.count {
      guard place <= directory.range.upperBound - directoryEntrySize,
        bytes.number(UInt32.self, at: place) == 0x0201_4B50
      else { throw refuse("entry \(number) of \(directory.count) is not in its directory") }
      let flags: UInt16 = bytes.number(at: place + 8)!
      let method: UInt16 = bytes.number(at: place + 10)!
      let nameCount = Int(bytes.number(UInt16.self, at: place + 28)!)
      let extraCount = Int(bytes.number(UInt16.self, at: place + 30)!)
      let commentCount = Int(bytes.number(UInt16.self, at: place + 32)!)
      let end = place + directoryEntrySize + nameCount + extraCount + commentCount
      guard end <= directory.range.upperBound else { throw refuse("entry \(number) reaches beyond its directory") }
      // In this order, each only where the 32-bit field is full, the extra field holds 64-bit numbers.
      var wide = WideFields(bytes, in: (place + directoryEntrySize + nameCount)..<(end - commentCount))
      guard let size = wide.next(bytes.number(UInt32.self, at: place + 24)!),
        let storedSize = wide.next(bytes.number(UInt32.self, at: place + 20)!),
        let header = wide.next(bytes.number(UInt32.self, at: place + 42)!)
      else { throw refuse("entry \(number) lacks its 64-bit size or place") }
      try entries.append(
        Entry(
          nameStart: place + directoryEntrySize, nameCount: nameCount, header: header, size: storedSize,
          isPlain: method == 0 && flags & 1 == 0 && size == storedSize), &budget)
      place = end
    }

    try entries.sort(&budget) { $0.header < $1.header }
    if let last = entries.elements.last, last.header > directory.range.lowerBound {
      throw refuse("an entry is said to stand at byte \(last.header), behind the directory")
    }
    for index in 0..<entries.count {
      let entry = entries[index]
      let limit = index + 1 < entries.count ? entries[index + 1].header : directory.range.lowerBound
      let name = String(decoding: bytes.slice(entry.name)!.prefix(200), as: UTF8.self)
      guard let nameCount = bytes.number(UInt16.self, at: entry.header + 26),
        let extraCount = bytes.number(UInt16.self, at: entry.header + 28),
        bytes.number(UInt32.self, at: entry.header) == 0x0403_4B50, Int(nameCount) == entry.nameCount,
        let named = bytes.slice(entry.header + headerSize..<entry.header + headerSize + entry.nameCount),
        named.elementsEqual(bytes.slice(entry.name)!)
      else { throw refuse("entry '\(name)' does not stand at byte \(entry.header), where its directory says") }
      let start = entry.header + headerSize + Int(nameCount) + Int(extraCount)
      guard entry.size <= limit, start <= limit - entry.size else {
        throw refuse("entry '\(name)' of \(entry.size) bytes at byte \(start) reaches beyond byte \(limit)")
      }
      entries[index].start = start
    }

    func precedes(_ left: Entry, _ right: Entry) -> Bool {
      bytes.slice(left.name)!.lexicographicallyPrecedes(bytes.slice(right.name)!)
    }
    try entries.sort(&budget, by: precedes)
    for index in 1..<max(1, entries.count) where !precedes(entries[index - 1], entries[index]) {
      let name = String(decoding: bytes.slice(entries[index].name)!.prefix(200), as: UTF8.self)
      throw refuse("it has two entries '\(name)'")
    }
    return entries.elements
  }

  /// Where the directory lies, from the record at the file's end, or the 64-bit one that it points to.
  private static func findDirectory(_ bytes: LittleEndianBytes, path: String) throws -> (range: Range<Int>, count: Int)
  {
    func refuse(_ what: String) -> FileError { FileError("\(path) is no whole zip file: \(what)") }
    let last = bytes.count - endSize
    let candidates = stride(from: last, through: max(0, last - 0xFFFF), by: -1)
    guard
      let end = candidates.first(where: { place in
        bytes.number(UInt32.self, at: place) == 0x0605_4B50
          && bytes.number(UInt16.self, at: place + 20) == UInt16(exactly: last - place)
      })
    else {
      throw refuse("the directory at its end is missing, so it may be cut off (it has \(bytes.count) bytes)")
    }
    var (count, size, start, limit) = (
      UInt64(bytes.number(UInt16.self, at: end + 10)!), UInt64(bytes.number(UInt32.self, at: end + 12)!),
      UInt64(bytes.number(UInt32.self, at: end + 16)!), end
    )
    if end >= 20, bytes.number(UInt32.self, at: end - 20) == 0x0706_4B50 {
      guard let place = bytes.number(UInt64.self, at: end - 12).flatMap({ Int(exactly: $0) }), place <= end - 20 - 56,
        bytes.number(UInt32.self, at: place) == 0x0606_4B50
      else { throw refuse("its 64-bit end record is not where the file says") }
      count = bytes.number(at: place + 32)!
      size = bytes.number(at: place + 40)!
      start = bytes.number(at: place + 48)!
      limit = place
    }
    guard start <= UInt64(limit), size <= UInt64(limit) - start else {
      throw refuse("its directory of \(size) bytes at byte \(start) reaches beyond byte \(limit)")
    }
    guard count <= size / UInt64(directoryEntrySize) else {
      throw refuse("its directory of \(size) bytes cannot hold \(count) entries")
    }
    return (Int(start)..<Int(start + size), Int(count))
  }

  /// The 64-bit numbers of a directory entry's extra field.
  private struct WideFields {
    private let bytes: LittleEndianBytes
    private var rest: Range<Int> = 0..<0

    init(_ bytes: LittleEndianBytes, in extra: Range<Int>) {
      self.bytes = bytes
      var place = extra.lowerBound
      while place <= extra.upperBound - 4 {
        let count = Int(bytes.number(UInt16.self, at: place + 2)!)
        guard place + 4 + count <= extra.upperBound else { return }
        if bytes.number(UInt16.self, at: place) == 1 {
          rest = place + 4..<place + 4 + count
          return
        }
        place += 4 + count
      }
    }

    /// A 32-bit field's number, or the next 64-bit one where that field is full.
    mutating func next(_ narrow: UInt32) -> Int? {
      guard narrow == .max else { return Int(narrow) }
      guard rest.count >= 8 else { return nil }
      defer { rest = rest.dropFirst(8) }
      return bytes.number(UInt64.self, at: rest.lowerBound).flatMap { Int(exactly: $0) }
    }
  }
}
