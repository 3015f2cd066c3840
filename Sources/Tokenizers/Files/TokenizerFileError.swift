import Files
import Foundation

/// A `tokenizer.json` that cannot be read or written. The description is one line: file, field, found, expected.
public struct TokenizerFileError: Error, Hashable, CustomStringConvertible {
  public let path: String
  public let problem: Problem

  public enum Problem: Hashable, Sendable {
    case tooLarge(byteCount: Int)
    case notJSON
    case syntax(JSONSyntaxError)
    case missing(field: String)
    case wrongKind(field: String, expected: String)
    case wrongFormat(found: String, expected: String)
    case wrongVersion(found: Double, expected: Double)
    case unknownType(found: String)
    case notOneCharacter(index: Int, found: String)
    case repeated(Unicode.Scalar, first: Int, second: Int)
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
