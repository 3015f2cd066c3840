import Files
import Foundation

/// The file `tokenizer.json`, which a run keeps beside its weights. For byte pairs and word pieces it is Hugging Face's
/// file of that name; what such a file cannot say is stored in a format of this package:
///
///     {"characters":["\n"," ","a"],"format":"esolm-tokenizer","type":"characters","version":1}
///
/// | `type` | holds |
/// |---|---|
/// | `bytes`, `text8`, `sudoku` | nothing more |
/// | `characters` | `characters`, in the order of their ids |
/// | `numbers` | `vocabularySize`, `maskToken` |
/// | `named` | `tokenizer`, Hugging Face's, and `beginning`, `end`, `padding` and `mask`, tokens of unusual names |
///
/// This is the only place that knows how each kind is stored.
public enum TokenizerFile {
  typealias Problem = TokenizerFileError.Problem

  /// The usual name of the file.
  public static let name = "tokenizer.json"

  /// The names of files that a folder's tokenizer is looked for in, in this order.
  public static let names = [name, "vocab.json", "vocab.txt"]

  /// The largest file that is read: about twice what all of Unicode's characters take, written as escapes.
  public static let maximumByteCount = 32 << 20

  private static let format = "esolm-tokenizer"
  /// A floating-point number, so that a file with version 1.5 is refused for its version and not for its syntax.
  private static let version = 1.0

  private static let named = "named"

  // MARK: Writing

  /// The contents of a file that holds `tokenizer`. Equal tokenizers give equal bytes.
  ///
  /// - Throws: `TokenizerFileError` if `tokenizer` is of no kind that has a file.
  public static func data(for tokenizer: any Tokenizer) throws -> Data {
    switch tokenizer {
    case is ByteTokenizer:
      return try encode(Header(type: TokenizerKind.bytes.rawValue))
    case is Text8Tokenizer:
      return try encode(Header(type: TokenizerKind.text8.rawValue))
    case is SudokuTokenizer:
      return try encode(Header(type: TokenizerKind.sudoku.rawValue))
    case let tokenizer as CharacterTokenizer:
      return try encode(
        Header(type: TokenizerKind.characters.rawValue, characters: tokenizer.characters.map(String.init)))
    case let tokenizer as NumberTokenizer:
      return try encode(
        Header(
          type: NumberTokenizer.fileType, vocabularySize: tokenizer.vocabularySize, maskToken: tokenizer.maskToken))
    case let tokenizer as any HuggingFaceTokenizer:
      let file = tokenizer.huggingFaceFile
      guard let names = tokenizer.unusualSpecialTokens else { return file }
      return try encode(
        Header(
          type: named, beginning: names.beginning, end: names.end, padding: names.padding, mask: names.mask),
        around: file)
    default:
      throw TokenizerFileError(path: name, problem: .notStorable(type: "\(type(of: tokenizer))"))
    }
  }

  /// The files of a Hugging Face folder for `tokenizer`: its `tokenizer.json` and what stands beside it, so that
  /// transformers gives the same ids and knows the special tokens. Of a tokenizer that is not Hugging Face's, the one
  /// file of this package.
  public static func folderFiles(for tokenizer: any Tokenizer) throws -> [(name: String, data: Data)] {
    switch tokenizer {
    case let tokenizer as any HuggingFaceTokenizer:
      return [(name, tokenizer.huggingFaceFile), (TokenizerDeclaration.fileName, tokenizer.declaration)]
    default:
      return [(name, try data(for: tokenizer))]
    }
  }

  /// The older files `vocab.json` and `merges.txt` of a byte-level tokenizer.
  public static func vocabularyFiles(for tokenizer: BytePairTokenizer) -> (vocabulary: Data, merges: Data) {
    HuggingFaceFile.vocabularyFiles(for: tokenizer)
  }

  /// The fields of all kinds; those that are nil are not written.
  private struct Header: Encodable {
    var format = TokenizerFile.format
    var version = TokenizerFile.version
    var type: String
    var characters: [String]?
    var vocabularySize: Int?
    var maskToken: Int32?
    var beginning: String?
    var end: String?
    var padding: String?
    var mask: String?
  }

  private static func encode(_ header: Header, around inner: Data? = nil) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let data = try encoder.encode(header)
    guard let inner else { return data }
    return data.dropLast() + Data(#","tokenizer":"#.utf8) + inner + Data("}".utf8)
  }

  // MARK: Reading

  /// The tokenizer that a file holds.
  ///
  /// - Parameters:
  ///   - data: the file's contents.
  ///   - path: where they come from, for the error's text.
  /// - Throws: `TokenizerFileError`, naming the field at fault.
  public static func tokenizer(from data: Data, path: String = name) throws(TokenizerFileError) -> any Tokenizer {
    let json = try json(in: data, path: path)
    return try located(path) { try tokenizer(from: json) }
  }

  /// The tokenizer of a user's files: a `tokenizer.json` of either kind, `vocab.json` with `merges.txt` beside it,
  /// `vocab.txt`, or a folder that holds one of these, which are looked for in this order. What stands beside them is
  /// honoured.
  ///
  /// - Throws: `FileError` if a file cannot be read, `TokenizerFileError` if it holds no tokenizer.
  public static func tokenizer(at path: String) throws -> any Tokenizer {
    if Folder.exists(path) {
      guard let found = names.first(where: { FileManager.default.fileExists(atPath: "\(path)/\($0)") }) else {
        throw FileError("\(path) holds no tokenizer: expected one of \(names.joined(separator: ", "))")
      }
      return try tokenizer(at: "\(path)/\(found)")
    }
    let folder = Folder.split(path).folder
    let data = try contents(path)
    if path.hasSuffix(".txt") {
      let declaration = try TokenizerDeclaration(in: folder)
      return try located(path) { try VocabularyFiles.wordPieceTokenizer(data, declaration) }
    }
    let json = try json(in: data, path: path)
    // A vocabulary's members are numbers, also of words such as "model" and "format".
    guard case .number = json["format"] ?? json["model"] ?? .number(0) else {
      // A file of this package says all there is to say.
      let declaration = json["format"] == nil ? try TokenizerDeclaration(in: folder) : TokenizerDeclaration()
      return try located(path) { try tokenizer(from: json, declaration) }
    }
    let declaration = try TokenizerDeclaration(in: folder)
    let mergesPath = path.contains("/") ? "\(folder)/merges.txt" : "merges.txt"
    let merges = try contents(mergesPath)
    return try located("\(path) with \(mergesPath)") {
      try VocabularyFiles.bytePairTokenizer(vocabulary: json, merges: merges, declaration)
    }
  }

  private static func tokenizer(
    from json: JSONValue, _ declaration: TokenizerDeclaration = TokenizerDeclaration()
  ) throws -> any Tokenizer {
    guard case .object = json else { throw Problem.notJSON }
    if json["format"] == nil, case .object = json["model"] {
      return try HuggingFaceFile.tokenizer(from: json, declaration)
    }
    func text(_ field: String) throws -> String {
      try HuggingFaceFile.text(HuggingFaceFile.member(field, of: json, ""), field)
    }
    let found = try text("format")
    guard found == format else { throw Problem.wrongFormat(found: found, expected: format) }
    guard case .number(let number) = try HuggingFaceFile.member("version", of: json, "") else {
      throw Problem.wrongKind(field: "version", expected: "a number")
    }
    guard number == version else { throw Problem.wrongVersion(found: number, expected: version) }
    let type = try text("type")
    switch type {
    case TokenizerKind.characters.rawValue:
      return try characterTokenizer(HuggingFaceFile.member("characters", of: json, ""))
    case NumberTokenizer.fileType:
      let size = try vocabularySize(json)
      return NumberTokenizer(vocabularySize: size, maskToken: try maskToken(json, below: size))
    case named:
      func name(_ field: String) throws -> String? { try json[field].map { try HuggingFaceFile.text($0, field) } }
      let special = SpecialTokens(
        beginning: try name("beginning"), end: try name("end"), padding: try name("padding"), mask: try name("mask"))
      return try HuggingFaceFile.tokenizer(
        from: HuggingFaceFile.member("tokenizer", of: json, ""), specialTokens: special)
    default:
      guard let tokenizer = TokenizerKind(rawValue: type)?.tokenizer else { throw Problem.unknownType(found: type) }
      return tokenizer
    }
  }

  private static func vocabularySize(_ json: JSONValue) throws(Problem) -> Int {
    let range = 1...Int(Int32.max)
    guard let size = try HuggingFaceFile.member("vocabularySize", of: json, "").integer, range.contains(size) else {
      throw .wrongKind(field: "vocabularySize", expected: "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return size
  }

  private static func maskToken(_ json: JSONValue, below size: Int) throws(Problem) -> Int32? {
    guard let value = json["maskToken"], value.kind != "null" else { return nil }
    guard let mask = value.integer, (0..<size).contains(mask) else {
      throw .wrongKind(field: "maskToken", expected: "one of the tokens")
    }
    return Int32(mask)
  }

  private static func characterTokenizer(_ json: JSONValue) throws(Problem) -> CharacterTokenizer {
    guard let entries = json.elements else {
      throw .wrongKind(field: "characters", expected: "a list of strings")
    }
    var characters: [Unicode.Scalar] = []
    var indices: [Unicode.Scalar: Int] = [:]
    for (index, entry) in entries.enumerated() {
      let entry = try HuggingFaceFile.text(entry, "characters[\(index)]")
      guard let scalar = entry.unicodeScalars.first, entry.unicodeScalars.count == 1 else {
        throw .notOneCharacter(index: index, found: entry)
      }
      if let first = indices.updateValue(index, forKey: scalar) {
        throw .repeated(scalar, first: first, second: index)
      }
      characters.append(scalar)
    }
    return CharacterTokenizer(characters: characters)
  }

  // MARK: Files

  /// The JSON of a file that is not larger than one of a tokenizer may be.
  static func json(at path: String) throws -> JSONValue { try json(in: contents(path), path: path) }

  private static func json(in data: Data, path: String) throws(TokenizerFileError) -> JSONValue {
    let data = try checked(data, path: path)
    do {
      return try JSONValue(parsing: data)
    } catch let error as JSONSyntaxError {
      throw TokenizerFileError(path: path, problem: .syntax(error))
    } catch {
      throw TokenizerFileError(path: path, problem: .invalid("\(error)"))
    }
  }

  private static func contents(_ path: String) throws -> Data { try checked(MappedFile.read(path), path: path) }

  /// A file's bytes without the mark of UTF-8 that some editors put before them.
  private static func checked(_ data: Data, path: String) throws(TokenizerFileError) -> Data {
    guard data.count <= maximumByteCount else {
      throw TokenizerFileError(path: path, problem: .tooLarge(byteCount: data.count))
    }
    if let kind = FileKind(beginning: data) {
      throw TokenizerFileError(path: path, problem: .invalid("it is \(kind.name); expected a tokenizer's text"))
    }
    return data.dropFirst(data.byteOrderMarkCount)
  }

  /// Runs code whose errors do not know which file they are about.
  private static func located<Result>(_ path: String, _ body: () throws -> Result) throws(TokenizerFileError) -> Result
  {
    do {
      return try body()
    } catch let error as TokenizerFileError {
      throw error
    } catch let problem as TokenizerFileError.Problem {
      throw TokenizerFileError(path: path, problem: problem)
    } catch {
      throw TokenizerFileError(path: path, problem: .invalid("\(error)"))
    }
  }
}
