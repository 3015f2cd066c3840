import Foundation

/// What a file is, told by how it begins: for saying so where something else was expected.
///
/// Signatures are those of the formats' specifications. A file without one is not told: text and raw numbers have none.
public enum FileKind: Sendable, CaseIterable {
  /// Compressed files and archives.
  case gzip, bzip2, xz, zstandard, lz4, zip, sevenZip, rar, tar
  /// Tables, documents, pictures and programs.
  case parquet, arrow, avro, orc, numpy, hdf5, sqlite, pdf, elf, png, jpeg
  /// Weights.
  case safetensors, gguf, pickle
  /// What is downloaded in place of a file.
  case gitLFSPointer, html
  /// Text in another encoding than UTF-8.
  case utf16, utf32

  /// What to call it, with an article.
  public var name: String {
    switch self {
    case .gzip: "a gzip file"
    case .bzip2: "a bzip2 file"
    case .xz: "an xz file"
    case .zstandard: "a Zstandard file"
    case .lz4: "an LZ4 file"
    case .zip: "a zip archive"
    case .sevenZip: "a 7z archive"
    case .rar: "a RAR archive"
    case .tar: "a tar archive"
    case .parquet: "a Parquet file"
    case .arrow: "an Arrow file"
    case .avro: "an Avro file"
    case .orc: "an ORC file"
    case .numpy: "a NumPy array"
    case .hdf5: "an HDF5 file"
    case .sqlite: "an SQLite database"
    case .pdf: "a PDF document"
    case .elf: "a program"
    case .png: "a PNG picture"
    case .jpeg: "a JPEG picture"
    case .safetensors: "a safetensors file"
    case .gguf: "a GGUF file"
    case .pickle: "a Python pickle"
    case .gitLFSPointer: "a Git LFS pointer, not the file itself"
    case .html: "an HTML page"
    case .utf16: "text in UTF-16"
    case .utf32: "text in UTF-32"
    }
  }

  /// How many of a file's first bytes are enough.
  public static let byteCount = 512

  /// The kind of a file that begins with these bytes, at least `byteCount` of them unless the file is shorter.
  public init?(beginning bytes: some Collection<UInt8>) {
    let bytes = Array(bytes.prefix(Self.byteCount))
    guard let kind = Self.allCases.first(where: { $0.matches(bytes) }) else { return nil }
    self = kind
  }

  /// The kind of a regular file; nil if it has no signature, or cannot be read.
  public init?(ofFile path: String) {
    guard Folder.isRegularFile(path), let handle = FileHandle(forReadingAtPath: path),
      let bytes = try? handle.read(upToCount: Self.byteCount)
    else { return nil }
    self.init(beginning: bytes)
  }

  /// An error that says what a file is where another was expected; nil if it has no signature.
  public static func mistake(_ path: String, beginning bytes: some Collection<UInt8>, expected: String) -> FileError? {
    guard let kind = FileKind(beginning: bytes) else { return nil }
    let remedy = kind == .gitLFSPointer ? "; fetch the file by git lfs pull" : ""
    return FileError("\(path) is \(kind.name), expected \(expected)\(remedy)")
  }

  private func matches(_ bytes: [UInt8]) -> Bool {
    func starts(_ signature: [UInt8]) -> Bool { bytes.starts(with: signature) }
    func starts(_ signature: String) -> Bool { bytes.starts(with: signature.utf8) }
    switch self {
    case .gzip: return starts([0x1F, 0x8B])
    case .bzip2: return starts("BZh") && bytes.dropFirst(4).starts(with: [0x31, 0x41, 0x59, 0x26, 0x53, 0x59])
    case .xz: return starts([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00])
    case .zstandard: return starts([0x28, 0xB5, 0x2F, 0xFD])
    case .lz4: return starts([0x04, 0x22, 0x4D, 0x18])
    case .zip: return starts([0x50, 0x4B, 0x03, 0x04]) || starts([0x50, 0x4B, 0x05, 0x06])
    case .sevenZip: return starts([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C])
    case .rar: return starts([0x52, 0x61, 0x72, 0x21, 0x1A, 0x07])
    case .tar: return bytes.dropFirst(257).starts(with: "ustar".utf8)
    case .parquet: return starts("PAR1")
    case .arrow: return starts("ARROW1\0\0")
    case .avro: return starts([0x4F, 0x62, 0x6A, 0x01])
    case .orc: return starts([0x4F, 0x52, 0x43, 0x0A]) || starts([0x4F, 0x52, 0x43, 0x08])
    case .numpy: return starts([0x93] + Array("NUMPY".utf8))
    case .hdf5: return starts([0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A])
    case .sqlite: return starts("SQLite format 3\0")
    case .pdf: return starts("%PDF-")
    case .elf: return starts([0x7F, 0x45, 0x4C, 0x46])
    case .png: return starts([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
    case .jpeg: return starts([0xFF, 0xD8, 0xFF])
    // The header's size, less than 4 GiB, and the header, an object.
    case .safetensors: return bytes.dropFirst(4).starts(with: [0, 0, 0, 0, UInt8(ascii: "{")])
    case .gguf: return starts("GGUF")
    // The opcode that names the protocol, 2 to 5, and one of those that begin an object.
    case .pickle:
      return bytes.count > 2 && bytes[0] == 0x80 && (2...5).contains(bytes[1])
        && [0x28, 0x29, 0x4B, 0x4D, 0x58, 0x5B, 0x5D, 0x63, 0x7D, 0x8A, 0x8C, 0x95].contains(bytes[2])
    case .gitLFSPointer: return starts("version https://git-lfs.github.com/spec/") || starts("version https://hawser")
    case .html:
      let text = String(decoding: bytes, as: UTF8.self).drop { $0.isWhitespace || $0 == "\u{FEFF}" }.lowercased()
      return text.hasPrefix("<!doctype html") || text.hasPrefix("<html")
    // UTF-32's mark of little-endian order begins with that of UTF-16.
    case .utf16:
      return starts([0xFE, 0xFF]) || (starts([0xFF, 0xFE]) && !starts([0xFF, 0xFE, 0, 0]))
    case .utf32: return starts([0xFF, 0xFE, 0, 0]) || starts([0, 0, 0xFE, 0xFF])
    }
  }
}
