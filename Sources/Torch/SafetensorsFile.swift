import Faults
import Files
import Foundation

/// A file of named tensors in the safetensors format: a length, a JSON header, the bytes.
///
/// A file is hostile input. Everything that the header says is checked against the file's size before any of it is
/// used: types, shapes, and that the tensors lie in the file without gap or overlap.
public struct SafetensorsFile {
  /// What the header says of one tensor.
  public struct Entry: Sendable, Equatable {
    /// The type of its elements.
    public let dtype: DType
    /// Its dimensions.
    public let shape: [Int]
    /// Where its bytes lie, counted from the end of the header.
    let bytes: Range<Int>
  }

  /// The file, for messages.
  public let path: String
  /// The tensors by name.
  public let entries: [String: Entry]
  /// What the file says of itself.
  public let metadata: [String: String]
  /// What reading the header took.
  package let memory: MemoryBudget
  private let data: Data
  private let start: Int
  private var isMapped = false

  /// The largest header that is read, as in the format's own library.
  static let headerLimit = 100_000_000

  /// Opens a file and checks its header; the tensors' bytes are read when asked for.
  public init(contentsOf path: String) throws {
    try self.init(try MappedFile.read(path), path: path)
  }

  /// The same for a file that is replaced and never shortened while it is open, as those of a run are: what is not looked at
  /// takes no memory, and tensors can stay where they lie.
  public init(mapping path: String) throws {
    try self.init(try MappedFile.map(path), path: path)
    isMapped = true
  }

  /// Reads a file's contents; `path` is only for messages.
  public init(_ data: Data, path: String) throws {
    func refuse(_ what: String) -> FileError { FileError("\(path) is no valid safetensors file: \(what)") }
    /// What has no header may be something else.
    func mistake(_ what: String) -> FileError {
      guard FileKind(beginning: data) != .safetensors else { return refuse(what) }
      return FileKind.mistake(path, beginning: data, expected: "a safetensors file") ?? refuse(what)
    }

    guard data.count >= 8 else { throw mistake("it has \(data.count) bytes, fewer than a header's length takes") }
    let length = data.prefix(8).enumerated().reduce(UInt64(0)) { $0 | UInt64($1.element) << (8 * $1.offset) }
    guard length <= UInt64(min(Self.headerLimit, data.count - 8)) else {
      throw mistake("its header claims \(length) bytes, the file has \(data.count - 8) after the header's length")
    }
    start = 8 + Int(length)
    var budget = MemoryBudget(fileSize: data.count, description: Int(length))
    let header: SafetensorsHeader
    do {
      header = try data.bytes(8..<start).withUnsafeBytes {
        try SafetensorsHeader($0.assumingMemoryBound(to: UInt8.self), budget: &budget)
      }
    } catch let error as SafetensorsHeader.Failure {
      throw refuse("its header cannot be read (\(error.problem))")
    } catch let error as MemoryBudget.Exceeded {
      throw refuse("\(error)")
    }

    let size = data.count - start
    var entries: [String: Entry] = [:]
    for (name, raw) in header.tensors {
      guard let dtype = DType(rawValue: raw.dtype) else {
        throw refuse(
          "tensor '\(name)' has type \(raw.dtype), expected \(DType.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      guard raw.offsets.count == 2, 0 <= raw.offsets[0], raw.offsets[0] <= raw.offsets[1], raw.offsets[1] <= size else {
        throw refuse("tensor '\(name)' lies at \(raw.offsets), the file has \(size) bytes of data")
      }
      // Strides are products too, in which libtorch takes a dimension of 0 as 1.
      var room = dtype.byteCount
      for dim in raw.shape {
        let (product, overflow) = room.multipliedReportingOverflow(by: max(1, dim))
        guard dim >= 0, !overflow else { throw refuse("tensor '\(name)' has the impossible shape \(raw.shape)") }
        room = product
      }
      let needed = raw.shape.contains(0) ? 0 : room
      guard needed == raw.offsets[1] - raw.offsets[0] else {
        throw refuse(
          "tensor '\(name)' of shape \(raw.shape) and type \(raw.dtype) needs \(needed) bytes, "
            + "its offsets \(raw.offsets) hold \(raw.offsets[1] - raw.offsets[0])")
      }
      entries[name] = Entry(dtype: dtype, shape: raw.shape, bytes: raw.offsets[0]..<raw.offsets[1])
    }
    var end = 0
    for (name, entry) in entries.sorted(by: {
      ($0.value.bytes.lowerBound, $0.key) < ($1.value.bytes.lowerBound, $1.key)
    })
    where !entry.bytes.isEmpty {
      guard entry.bytes.lowerBound == end else {
        throw refuse("tensor '\(name)' starts at byte \(entry.bytes.lowerBound) of the data, expected \(end)")
      }
      end = entry.bytes.upperBound
    }
    guard end == size else { throw refuse("its tensors end at byte \(end) of the data, the file at \(size)") }

    self.path = path
    self.data = data
    self.entries = entries
    metadata = header.metadata
    memory = budget
  }

  /// The tensors, by name.
  public var storedTensors: [StoredTensor] {
    entries.sorted { $0.key < $1.key }.map { name, entry in
      StoredTensor(name: name, dtype: entry.dtype, shape: entry.shape) { try tensor(name) }
    }
  }

  /// A copy of one tensor on the CPU.
  public func tensor(_ name: String) throws -> Tensor {
    guard let entry = entries[name] else { throw FileError("\(path) has no tensor '\(name)'") }
    let first = data.startIndex + start
    return data[(first + entry.bytes.lowerBound)..<(first + entry.bytes.upperBound)].withUnsafeBytes {
      Tensor(bytes: $0, shape: entry.shape, dtype: entry.dtype)
    }
  }

  /// One tensor on the CPU where it lies in the mapped file, which must not be changed meanwhile; a copy where its bytes do
  /// not begin as its numbers must. What was read of it goes out of memory again with the tensor.
  public func mappedTensor(_ name: String) throws -> Tensor {
    guard let entry = entries[name] else { throw FileError("\(path) has no tensor '\(name)'") }
    final class Owner {
      let data: Data
      let isMapped: Bool
      init(_ data: Data, isMapped: Bool) { (self.data, self.isMapped) = (data, isMapped) }
      // Other tensors keep the file mapped, and what was read of it would stay in memory with them.
      deinit { if isMapped { data.withUnsafeBytes { MappedFile.forget($0) } } }
    }
    let first = data.startIndex + start
    let part = data[(first + entry.bytes.lowerBound)..<(first + entry.bytes.upperBound)]
    let owner = Owner(part, isMapped: isMapped)
    let borrowed = owner.data.withUnsafeBytes { bytes -> Tensor? in
      guard !bytes.isEmpty, UInt(bitPattern: bytes.baseAddress) % UInt(entry.dtype.byteCount) == 0 else { return nil }
      return Tensor(borrowing: bytes, shape: entry.shape, dtype: entry.dtype, owner: owner)
    }
    return try borrowed ?? tensor(name)
  }

  /// Writes tensors in the given order; the file appears whole or not at all.
  public static func write(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:], to path: String
  ) throws {
    let stored = tensors.map { name, tensor in
      StoredTensor(name: name, dtype: tensor.dtype, shape: tensor.shape) { tensor }
    }
    try write(reading: stored, metadata: metadata, to: path)
  }

  /// The same with tensors that are read one after another, so that no two need be in memory.
  public static func write(
    reading tensors: [StoredTensor], metadata: [String: String] = [:], to path: String
  ) throws {
    var header = SafetensorsHeader()
    header.metadata = metadata
    var offset = 0
    for stored in tensors {
      let end = offset + stored.count * stored.dtype.byteCount
      header.tensors[stored.name] = .init(dtype: stored.dtype.rawValue, shape: stored.shape, offsets: [offset, end])
      offset = end
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var json = try encoder.encode(header)
    // So that tensors whose sizes are multiples of 64 bytes begin at such places.
    json.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (64 - (8 + json.count) % 64) % 64))
    try AtomicFile.write(to: path) { writer in
      try withUnsafeBytes(of: UInt64(json.count).littleEndian) { try writer.write($0) }
      try writer.write(json)
      for stored in tensors {
        let tensor = try stored.tensor()
        trap(unless: tensor.dtype == stored.dtype && tensor.shape == stored.shape, "another tensor")
        guard tensor.count > 0 else { continue }
        let bytes = UnsafeMutableRawBufferPointer.allocate(
          byteCount: tensor.count * tensor.dtype.byteCount, alignment: 64)
        defer { bytes.deallocate() }
        tensor.copyBytes(to: bytes)
        try writer.write(UnsafeRawBufferPointer(bytes))
      }
    }
  }
}
