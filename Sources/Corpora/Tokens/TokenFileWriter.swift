import Files
import Foundation

/// Writes a token file piece by piece. Of what it writes it keeps only where documents end, 8 bytes each.
struct TokenFileWriter {
  private let file: FileWriter
  private var header = TokenFile.Header()
  private var hash = TokenHash()
  private var documentEnds: [UInt64] = []

  var tokenCount: Int { Int(header.tokenCount) }
  var documentCount: Int { documentEnds.count }

  init(_ file: FileWriter) throws {
    self.file = file
    try file.write(Data(count: TokenFile.headerSize))  // Filled in at the end.
  }

  /// - Parameter documentEnds: which of the tokens, counted from these, are the first after a document.
  mutating func append(_ tokens: [Int32], documentEnds: [Int]) throws {
    for token in tokens { hash.combine(token) }
    self.documentEnds += documentEnds.map { header.tokenCount + UInt64($0) }
    header.tokenCount += UInt64(tokens.count)
    try write(tokens)
  }

  mutating func finish(_ metadata: TokenFileMetadata) throws {
    try write(documentEnds)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let json = try encoder.encode(metadata)
    try file.write(json)
    header.documentCount = UInt64(documentEnds.count)
    header.metadataSize = UInt32(json.count)
    header.hash = hash.value

    var bytes = Data(TokenFile.magic)
    func append(_ number: some FixedWidthInteger) {
      withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
    append(header.version)
    append(header.metadataSize)
    append(header.tokenCount)
    append(header.documentCount)
    append(header.hash)
    try file.overwrite(bytes, at: 0)
  }

  private func write<Number: FixedWidthInteger>(_ numbers: [Number]) throws {
    #if _endian(little)
      try numbers.withUnsafeBytes { try file.write($0) }
    #else
      try numbers.map(\.littleEndian).withUnsafeBytes { try file.write($0) }
    #endif
  }
}
