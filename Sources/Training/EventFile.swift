import Files
import Foundation
import Runs

/// The lines of `metrics.jsonl` as TensorBoard reads them: `events.out.tfevents.…` in the run's folder.
///
/// TensorBoard takes points of a step that it has seen already for another run, and forgets those from there on, tag by
/// tag. So whoever goes on with a run writes a new file, which holds all lines so far, and takes the old ones away.
///
/// A file is a row of records: the length (8 bytes, little-endian), its checksum, a protocol buffer `Event` (tensorflow's
/// `event.proto`), its checksum.
final class EventFile {
  private let folder: String
  private var path: String?
  /// When the training would have begun if it had never stopped.
  private var start = 0.0

  init(in folder: String) { self.folder = folder }

  private static let suffix = ".esolm"

  /// Makes the file, at the first line of a training.
  func begin(secondsBefore: Double) throws {
    guard path == nil else { return }
    let now = Date().timeIntervalSince1970
    start = now - secondsBefore
    let earlier = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter {
      $0.hasPrefix("events.out.tfevents.") && $0.hasSuffix(Self.suffix)
    }
    // Names are read in their order; seconds may be equal where a run is soon gone on with.
    let number = earlier.compactMap { $0.split(separator: ".").dropLast().last.flatMap { UInt32($0) } }.max() ?? 0
    let file =
      "\(folder)/events.out.tfevents.\(Int(now)).\(ProcessInfo.processInfo.processIdentifier).\(Int(number) + 1)\(Self.suffix)"
    let records = try TrainingRecord.all(of: folder)
    var event = Event(time: now, step: 0)
    event.message.text(3, "brain.Event:2")
    var begin = Event(time: now, step: records.first?.step ?? 0)
    var session = ProtocolBuffer()
    session.integer(1, 1)  // SessionLog.START
    begin.message.message(7, session)
    var data = event.record + begin.record
    for record in records { data += self.data(of: record) }
    try AtomicFile.write(data, to: file)
    for name in earlier { unlink("\(folder)/\(name)") }
    path = file
  }

  /// Appends a line.
  func append(_ record: TrainingRecord) throws {
    if let path { try FileWriter.append(data(of: record), to: path) }
  }

  private func data(of record: TrainingRecord) -> Data {
    var event = Event(time: start + (record.seconds ?? 0), step: record.step)
    var summary = ProtocolBuffer()
    for (name, value) in record.scalars {
      var entry = ProtocolBuffer()
      entry.text(1, name)
      entry.float(2, Float(value))
      summary.message(1, entry)
    }
    for (number, text) in (record.texts ?? []).enumerated() {
      // A tensor without dimensions, of type DT_STRING, shown by the plugin "text".
      var (tensor, plugin, metadata, entry) = (ProtocolBuffer(), ProtocolBuffer(), ProtocolBuffer(), ProtocolBuffer())
      tensor.integer(1, 7)
      tensor.message(2, ProtocolBuffer())
      tensor.text(8, text)
      plugin.text(1, "text")
      metadata.message(1, plugin)
      entry.text(1, "samples/\(number + 1)")
      entry.message(8, tensor)
      entry.message(9, metadata)
      summary.message(1, entry)
    }
    event.message.message(5, summary)
    return event.record
  }

  private struct Event {
    var message = ProtocolBuffer()

    init(time: Double, step: Int) {
      message.double(1, time)
      message.integer(2, step)
    }

    var record: Data {
      let length = withUnsafeBytes(of: UInt64(message.bytes.count).littleEndian) { Data($0) }
      return length + Self.checksum(length) + message.bytes + Self.checksum(message.bytes)
    }

    /// CRC-32C, turned and shifted so that the checksum of data which hold their own is none of a kind.
    private static func checksum(_ data: Data) -> Data {
      let crc = ~data.reduce(~UInt32(0)) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 }
      return withUnsafeBytes(of: ((crc >> 15 | crc << 17) &+ 0xa282_ead8).littleEndian) { Data($0) }
    }

    private static let table: [UInt32] = (0..<256).map { byte in
      (0..<8).reduce(UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
    }
  }
}

/// A message in the encoding of protocol buffers, field by field.
private struct ProtocolBuffer {
  private(set) var bytes = Data()

  private mutating func varint(_ value: UInt64) {
    var rest = value
    while rest > 127 {
      bytes.append(UInt8(rest & 127) | 128)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  private mutating func key(_ field: Int, _ wireType: Int) { varint(UInt64(field << 3 | wireType)) }

  mutating func integer(_ field: Int, _ value: Int) {
    key(field, 0)
    varint(UInt64(bitPattern: Int64(value)))
  }

  mutating func double(_ field: Int, _ value: Double) {
    key(field, 1)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func float(_ field: Int, _ value: Float) {
    key(field, 5)
    withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func text(_ field: Int, _ value: String) { data(field, Data(value.utf8)) }

  mutating func message(_ field: Int, _ value: ProtocolBuffer) { data(field, value.bytes) }

  private mutating func data(_ field: Int, _ value: Data) {
    key(field, 2)
    varint(UInt64(value.count))
    bytes.append(value)
  }
}
