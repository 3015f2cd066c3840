import Foundation

/// Reading a text file whole.
public enum TextFile {
  /// The text of the UTF-8 file at `path`, but for a byte order mark; line ends are left as they are.
  ///
  /// - Throws: `TextFileError` if there is no file, or it is a folder, empty, not UTF-8 or not readable.
  public static func read(_ path: String) throws(TextFileError) -> String {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      throw TextFileError(path: path, problem: .folder)
    }
    let data: Data
    do {
      // A file handle, because `Data(contentsOf:)` refuses pipes on Linux.
      data = try FileHandle(forReadingFrom: URL(fileURLWithPath: path)).readToEnd() ?? Data()
    } catch {
      throw TextFileError(path: path, problem: .init(error))
    }
    guard !data.isEmpty else { throw TextFileError(path: path, problem: .empty) }
    let text = String(decoding: data, as: UTF8.self)
    // Decoding repairs bad bytes, which shows as a difference; only then is the exact place worth a slow search.
    if !text.utf8.elementsEqual(data), let offset = firstInvalidByte(in: data) {
      throw TextFileError(path: path, problem: .notUTF8(byte: data[offset], offset: offset))
    }
    return text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
  }

  /// The offset of the first byte of the first sequence that is not UTF-8.
  private static func firstInvalidByte(in data: Data) -> Int? {
    var bytes = data.makeIterator()
    var parser = UTF8.ForwardParser()
    var offset = 0
    while true {
      switch parser.parseScalar(from: &bytes) {
      case .valid(let scalar): offset += scalar.count
      case .error: return offset
      case .emptyInput: return nil
      }
    }
  }
}

/// A text file that cannot be used.
public struct TextFileError: Error, Hashable, CustomStringConvertible {
  /// The file.
  public let path: String
  /// What is wrong with it.
  public let problem: Problem

  /// What keeps a file from being read as text.
  public enum Problem: Hashable, Sendable {
    /// There is no such file.
    case missing
    /// It is a folder.
    case folder
    /// It has no bytes.
    case empty
    /// A byte, at its offset in the file, that UTF-8 text does not have there.
    case notUTF8(byte: UInt8, offset: Int)
    /// The system's reason.
    case unreadable(reason: String)
  }

  public var description: String {
    switch problem {
    case .missing: "\(path): no such file"
    case .folder: "\(path): is a folder; expected a text file"
    case .empty: "\(path): is empty; expected text"
    case .notUTF8(let byte, let offset):
      "\(path): byte \(offset) is 0x\(String(byte, radix: 16, uppercase: true)); expected UTF-8 text"
    case .unreadable(let reason): "\(path): cannot be read: \(reason)"
    }
  }
}

extension TextFileError.Problem {
  fileprivate init(_ error: any Error) {
    if case CocoaError.fileReadNoSuchFile = error {
      self = .missing
    } else if let posix = (error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error {
      self = .unreadable(reason: String(cString: strerror(Int32((posix as NSError).code))))
    } else {
      self = .unreadable(reason: error.localizedDescription)
    }
  }
}
