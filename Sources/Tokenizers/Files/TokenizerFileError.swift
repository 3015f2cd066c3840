import Files
import Foundation

/// A `tokenizer.json` that cannot be read or written. The description is one line: file, field, found, expected.
public struct TokenizerFileError: Error, Hashable, CustomStringConvertible {
  /// The file.
  public let path: String
  /// What is wrong with it.
  public let problem: Problem

  /// What keeps a file from being read as a tokenizer.
  public enum Problem: Hashable, Sendable {
    /// More bytes than a tokenizer has.
    case tooLarge(byteCount: Int)
    /// It is no JSON object.
    case notJSON
    /// Its JSON breaks off or is damaged.
    case syntax(JSONSyntaxError)
    /// A field is not there.
    case missing(field: String)
    /// A field holds something else than it should.
    case wrongKind(field: String, expected: String)
    /// It is a file of another program.
    case wrongFormat(found: String, expected: String)
    /// It is of another version.
    case wrongVersion(found: Double, expected: Double)
    /// It is of a type that is not known here.
    case unknownType(found: String)
    /// An entry of the vocabulary is not one character.
    case notOneCharacter(index: Int, found: String)
    /// A character stands twice.
    case repeated(Unicode.Scalar, first: Int, second: Int)
    /// A tokenizer that has no file.
    case notStorable(type: String)
    /// A rule of a Hugging Face file that is not known here.
    case unsupported(field: String, found: String, expected: String)
    /// What is wrong, in words.
    case invalid(String)
  }

  public var description: String { "\(path): \(problem.text)" }
}

extension TokenizerFileError.Problem {
  fileprivate var text: String {
    switch self {
    case .tooLarge(let byteCount):
      "\(byteCount) bytes; expected at most \(TokenizerFile.maximumByteCount)"
    case .notJSON:
      "not a JSON object"
    case .syntax(let error):
      "\(error)"
    case .missing(let field):
      "field \"\(field)\" is missing"
    case .wrongKind(let field, let expected):
      "field \"\(field)\" should be \(expected)"
    case .wrongFormat(let found, let expected):
      "field \"format\" is \(quoted(found)); expected \(quoted(expected))"
    case .wrongVersion(let found, let expected):
      String(format: "field \"version\" is %g; expected %g", found, expected)
    case .unknownType(let found):
      "field \"type\" is \(quoted(found)); expected "
        + TokenizerKind.allCases.map { quoted($0.rawValue) }.joined(separator: " or ")
    case .notOneCharacter(let index, let found):
      "field \"characters[\(index)]\" is \(quoted(found)), \(found.unicodeScalars.count) Unicode scalars; expected 1"
    case .repeated(let scalar, let first, let second):
      "field \"characters[\(second)]\" is \(scalar.nameForErrors), as is \"characters[\(first)]\"; expected each once"
    case .unsupported(let field, let found, let expected):
      "field \"\(field)\" is \(quoted(found)), which is not supported; expected \(expected)"
    case .invalid(let reason):
      reason
    case .notStorable(let type):
      "cannot hold a \(type); expected one of the kinds "
        + TokenizerKind.allCases.map { quoted($0.rawValue) }.joined(separator: ", ")
    }
  }
}

/// `text` in quotes and on one line, shortened: it comes from a file and may be anything.
func quoted(_ text: String) -> String {
  let limit = 40
  let shown = String(text.unicodeScalars.prefix(limit))
  return (text.unicodeScalars.count > limit ? shown + "…" : shown).debugDescription
}
