import Files
import Foundation

/// A file of named tensors in the safetensors format: a length, a JSON header, the bytes.
///
/// A file is hostile input. Everything that the header says is checked against the file's size before any of it is
/// used: types, shapes, and that the tensors lie in the file without gap or overlap.
public struct SafetensorsFile {
  /// What the header says of one tensor.
  public struct Entry: Sendable, Equatable {
    public let dtype: DType
    public let shape: [Int]
    /// Where its bytes lie, counted from the end of the header.
    let bytes: Range<Int>
  }

  public let path: String
  public let entries: [String: Entry]
  public let metadata: [String: String]
  private let data: Data
  private let start: Int

  /// The largest header that is read, as in the format's own library.
  static let headerLimit = 100_000_000

  /// Opens a file and checks its header; the tensors' bytes are read when asked for.
  public init(contentsOf path: String) throws {
    try self.init(try MappedFile.read(path), path: path)
  }

  /// Reads a file's contents; `path` is only for messages.
  public init(_ data: Data, path: String) throws {
    func refuse(_ what: String) -> FileError { FileError("\(path) is no valid safetensors file: \(what)") }

    guard data.count >= 8 else { throw refuse("it has \(data.count) bytes, fewer than a header's length takes") }
    let length = data.prefix(8).enumerated().reduce(UInt64(0)) { $0 | UInt64($1.element) << (8 * $1.offset) }
    guard length <= UInt64(min(Self.headerLimit, data.count - 8)) else {
      throw refuse("its header claims \(length) bytes, the file has \(data.count - 8) after the header's length")
    }
    start = 8 + Int(length)
    let header: Header
    do {
      header = try JSONDecoder().decode(Header.self, from: data[(data.startIndex + 8)..<(data.startIndex + start)])
    } catch {
      throw refuse("its header cannot be read (\(JSONFile.describe(error)))")
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
  }

  /// A copy of one tensor on the CPU.
  public func tensor(_ name: String) throws -> Tensor {
    guard let entry = entries[name] else { throw FileError("\(path) has no tensor '\(name)'") }
    let first = data.startIndex + start
    return data[(first + entry.bytes.lowerBound)..<(first + entry.bytes.upperBound)].withUnsafeBytes {
      Tensor(bytes: $0, shape: entry.shape, dtype: entry.dtype)
    }
  }

  /// Writes tensors in the given order; the file appears whole or not at all.
  public static func write(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:], to path: String
  ) throws {
    var header = Header(tensors: [:], metadata: metadata)
    var offset = 0
    for (name, tensor) in tensors {
      let end = offset + tensor.count * tensor.dtype.byteCount
      header.tensors[name] = .init(dtype: tensor.dtype.rawValue, shape: tensor.shape, offsets: [offset, end])
      offset = end
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var json = try encoder.encode(header)
    json.append(contentsOf: repeatElement(UInt8(ascii: " "), count: (8 - json.count % 8) % 8))
    try AtomicFile.write(to: path) { writer in
      try withUnsafeBytes(of: UInt64(json.count).littleEndian) { try writer.write($0) }
      try writer.write(json)
      for (_, tensor) in tensors where tensor.count > 0 {
        let bytes = UnsafeMutableRawBufferPointer.allocate(
          byteCount: tensor.count * tensor.dtype.byteCount, alignment: 64)
        defer { bytes.deallocate() }
        tensor.copyBytes(to: bytes)
        try writer.write(UnsafeRawBufferPointer(bytes))
      }
    }
  }
}

/// The JSON header: one object, tensors by name beside `__metadata__`.
private struct Header: Codable {
  struct RawEntry: Codable {
    var dtype: String
    var shape: [Int]
    var offsets: [Int]

    enum CodingKeys: String, CodingKey {
      case dtype, shape
      case offsets = "data_offsets"
    }
  }

  struct Name: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  static let metadataName = Name(stringValue: "__metadata__")
  var tensors: [String: RawEntry]
  var metadata: [String: String]

  init(tensors: [String: RawEntry], metadata: [String: String]) {
    self.tensors = tensors
    self.metadata = metadata
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Name.self)
    self.init(tensors: [:], metadata: [:])
    for name in container.allKeys {
      if name.stringValue == Self.metadataName.stringValue {
        metadata = try container.decode([String: String].self, forKey: name)
      } else {
        tensors[name.stringValue] = try container.decode(RawEntry.self, forKey: name)
      }
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Name.self)
    if !metadata.isEmpty { try container.encode(metadata, forKey: Self.metadataName) }
    for (name, entry) in tensors { try container.encode(entry, forKey: Name(stringValue: name)) }
  }
}
