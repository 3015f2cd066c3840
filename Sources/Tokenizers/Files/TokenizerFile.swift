import Files
import Foundation

/// The file `tokenizer.json`, which a run keeps beside its weights. For byte pairs and word pieces it is Hugging Face's
/// file of that name; bytes and characters are stored in a format of this package:
///
///     {"characters":["\n"," ","a"],"format":"esolm-tokenizer","type":"characters","version":1}
///
/// `type` is a `TokenizerKind`; which further fields there are depends on it. This is the only place that knows how
/// each kind is stored.
public enum TokenizerFile {
  /// The usual name of the file.
  public static let name = "tokenizer.json"

  /// The largest file that is read: about twice what all of Unicode's characters take, written as escapes.
  public static let maximumByteCount = 32 << 20

  private static let format = "esolm-tokenizer"
  /// A floating-point number, so that a file with version 1.5 is refused for its version and not for its syntax.
  private static let version = 1.0

  private struct Header: Codable {
    var format = TokenizerFile.format
    var version = TokenizerFile.version
    var type: String
  }

  private struct Characters: Codable {
    var characters: [String]
  }

  private struct Numbers: Codable {
    var vocabularySize: Int
    var maskToken: Int32?

    init(_ tokenizer: NumberTokenizer) {
      vocabularySize = tokenizer.vocabularySize
      maskToken = tokenizer.maskToken
    }
  }

  /// The contents of a file that holds `tokenizer`. Equal tokenizers give equal bytes.
  ///
  /// - Throws: `TokenizerFileError` if `tokenizer` is none of `TokenizerKind`'s.
  public static func data(for tokenizer: any Tokenizer) throws -> Data {
    switch tokenizer {
    case is ByteTokenizer:
      try encode(TokenizerKind.bytes.rawValue)
    case let tokenizer as CharacterTokenizer:
      try encode(TokenizerKind.characters.rawValue, Characters(characters: tokenizer.characters.map(String.init)))
    case let tokenizer as BytePairTokenizer:
      HuggingFaceFile.data(for: tokenizer)
    case let tokenizer as WordPieceTokenizer:
      HuggingFaceFile.data(for: tokenizer)
    case let tokenizer as NumberTokenizer:
      try encode(NumberTokenizer.fileType, Numbers(tokenizer))
    default:
      throw TokenizerFileError(path: name, problem: .notStorable(type: "\(type(of: tokenizer))"))
    }
  }

  /// The older files `vocab.json` and `merges.txt` of a byte-level tokenizer.
  public static func vocabularyFiles(for tokenizer: BytePairTokenizer) -> (vocabulary: Data, merges: Data) {
    HuggingFaceFile.vocabularyFiles(for: tokenizer)
  }

  /// The tokenizer that a file holds.
  ///
  /// - Parameters:
  ///   - data: the file's contents.
  ///   - path: where they come from, for the error's text.
  /// - Throws: `TokenizerFileError`, naming the field at fault.
  public static func tokenizer(from data: Data, path: String = name) throws(TokenizerFileError) -> any Tokenizer {
    guard data.count <= maximumByteCount else {
      throw TokenizerFileError(path: path, problem: .tooLarge(byteCount: data.count))
    }
    if let json = try? JSONValue(parsing: data), isHuggingFace(json) {
      return try located(path) { try HuggingFaceFile.tokenizer(from: json) }
    }
    let header = try decode(Header.self, from: data, path: path)
    guard header.format == format else {
      throw TokenizerFileError(path: path, problem: .wrongFormat(found: header.format, expected: format))
    }
    guard header.version == version else {
      throw TokenizerFileError(path: path, problem: .wrongVersion(found: header.version, expected: version))
    }
    if header.type == NumberTokenizer.fileType {
      let stored = try decode(Numbers.self, from: data, path: path)
      guard (1...Int(Int32.max)).contains(stored.vocabularySize) else {
        throw TokenizerFileError(
          path: path, problem: .wrongKind(field: "vocabularySize", expected: "a number from 1 to \(Int32.max)"))
      }
      guard stored.maskToken.map({ (0..<stored.vocabularySize).contains(Int($0)) }) ?? true else {
        throw TokenizerFileError(path: path, problem: .wrongKind(field: "maskToken", expected: "one of the tokens"))
      }
      return NumberTokenizer(vocabularySize: stored.vocabularySize, maskToken: stored.maskToken)
    }
    switch TokenizerKind(rawValue: header.type) {
    case .bytes: return ByteTokenizer()
    case .characters: return try characterTokenizer(decode(Characters.self, from: data, path: path), path: path)
    case nil: throw TokenizerFileError(path: path, problem: .unknownType(found: header.type))
    }
  }

  /// The tokenizer of a user's files: a `tokenizer.json` of either kind, `vocab.json` with `merges.txt` beside it,
  /// `vocab.txt`, or a folder that holds one of these, which are looked for in this order.
  ///
  /// - Throws: `FileError` if a file cannot be read, `TokenizerFileError` if it holds no tokenizer.
  public static func tokenizer(at path: String) throws -> any Tokenizer {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      let names = [name, "vocab.json", "vocab.txt"]
      guard let found = names.first(where: { FileManager.default.fileExists(atPath: "\(path)/\($0)") }) else {
        throw FileError("\(path) holds no tokenizer: expected one of \(names.joined(separator: ", "))")
      }
      return try tokenizer(at: "\(path)/\(found)")
    }
    let data = try contents(path)
    if path.hasSuffix(".txt") {
      return try located(path) { try VocabularyFiles.wordPieceTokenizer(data) }
    }
    let json: JSONValue
    do {
      json = try JSONValue(parsing: data)
    } catch {
      throw TokenizerFileError(path: path, problem: .invalid("\(error)"))
    }
    // A vocabulary's members are numbers, also of words such as "model" and "format".
    guard case .number = json["format"] ?? json["model"] ?? .number(0) else {
      return try tokenizer(from: data, path: path)
    }
    let folder = (path as NSString).deletingLastPathComponent
    let mergesPath = folder.isEmpty ? "merges.txt" : "\(folder)/merges.txt"
    let merges = try contents(mergesPath)
    return try located("\(path) with \(mergesPath)") {
      try VocabularyFiles.bytePairTokenizer(vocabulary: json, merges: merges)
    }
  }

  private static func isHuggingFace(_ json: JSONValue) -> Bool {
    guard json["format"] == nil, case .object = json["model"] else { return false }
    return true
  }

  private static func contents(_ path: String) throws -> Data {
    let data = try MappedFile.read(path)
    guard data.count <= maximumByteCount else {
      throw TokenizerFileError(path: path, problem: .tooLarge(byteCount: data.count))
    }
    return data.dropFirst(data.byteOrderMarkCount)
  }

  /// Runs code whose errors do not know which file they are about.
  private static func located<Result>(_ path: String, _ body: () throws -> Result) throws(TokenizerFileError) -> Result
  {
    do {
      return try body()
    } catch let problem as TokenizerFileError.Problem {
      throw TokenizerFileError(path: path, problem: problem)
    } catch {
      throw TokenizerFileError(path: path, problem: .invalid("\(error)"))
    }
  }

  private static func characterTokenizer(
    _ stored: Characters, path: String
  ) throws(TokenizerFileError) -> CharacterTokenizer {
    var characters: [Unicode.Scalar] = []
    var indices: [Unicode.Scalar: Int] = [:]
    for (index, entry) in stored.characters.enumerated() {
      guard let scalar = entry.unicodeScalars.first, entry.unicodeScalars.count == 1 else {
        throw TokenizerFileError(path: path, problem: .notOneCharacter(index: index, found: entry))
      }
      if let first = indices.updateValue(index, forKey: scalar) {
        throw TokenizerFileError(path: path, problem: .repeated(scalar, first: first, second: index))
      }
      characters.append(scalar)
    }
    return CharacterTokenizer(characters: characters)
  }

  private static func encode(_ type: String, _ fields: (any Encodable)? = nil) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(Contents(header: Header(type: type), fields: fields))
  }

  /// The header and the fields of one kind, side by side in one JSON object.
  private struct Contents: Encodable {
    let header: Header
    let fields: (any Encodable)?

    func encode(to encoder: any Encoder) throws {
      try header.encode(to: encoder)
      try fields?.encode(to: encoder)
    }
  }

  private static func decode<Value: Decodable>(
    _: Value.Type, from data: Data, path: String
  ) throws(TokenizerFileError) -> Value {
    do {
      return try JSONDecoder().decode(Value.self, from: data)
    } catch {
      throw TokenizerFileError(path: path, problem: .init(error))
    }
  }
}
