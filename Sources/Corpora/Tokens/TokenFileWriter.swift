import Files
import Foundation

/// Writes a token file piece by piece. Of what it writes it keeps only where documents end, 8 bytes each.
final class TokenFileWriter {
  private let file: FileWriter
  private let checksum = Checksum()
  private var documentEnds: [[UInt64]] = []

  private(set) var tokenCount = 0
  private(set) var documentCount = 0

  init(_ file: FileWriter) throws {
    self.file = file
    try file.write(Data(count: TokenFile.headerSize))  // Filled in at the end.
  }

  /// - Parameters:
  ///   - tokens: `count` tokens in the file's width.
  ///   - documentEnds: which of the tokens, counted from these, are the first after a document.
  func append(_ tokens: [UInt8], count: Int, documentEnds: [Int]) throws {
    self.documentEnds.append(documentEnds.map { UInt64(tokenCount + $0).littleEndian })
    documentCount += documentEnds.count
    tokenCount += count
    try tokens.withUnsafeBytes(write)
  }

  func finish(_ metadata: TokenFileMetadata) throws {
    for ends in documentEnds { try ends.withUnsafeBytes(write) }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let json = try encoder.encode(metadata)
    try file.write(json)

    var header = Data(TokenFile.magic)
    func append(_ number: some FixedWidthInteger) {
      withUnsafeBytes(of: number.littleEndian) { header.append(contentsOf: $0) }
    }
    append(TokenFile.version)
    append(UInt32(json.count))
    append(UInt64(tokenCount))
    append(UInt64(documentCount))
    let digits = Array(checksum.finish())
    for place in stride(from: 0, to: digits.count, by: 2) {
      append(UInt8(String(digits[place..<place + 2]), radix: 16)!)
    }
    try file.overwrite(header, at: 0)
  }

  private func write(_ bytes: UnsafeRawBufferPointer) throws {
    checksum.update(bytes)
    try file.write(bytes)
  }
}
