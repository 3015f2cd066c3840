import Foundation
import Testing

/// A file of the documentation, as a reader sees it.
struct Markdown: Sendable, CustomTestStringConvertible {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  /// All that a reader is given: the README, CONTRIBUTING and the articles.
  static let all: [Markdown] = {
    let articles = (try? FileManager.default.contentsOfDirectory(atPath: "\(root)/Documentation.docc")) ?? []
    return (["README.md", "CONTRIBUTING.md"] + articles.sorted().map { "Documentation.docc/\($0)" })
      .filter { $0.hasSuffix(".md") }.map(Markdown.init)
  }()

  /// Its path below the package's folder.
  let name: String

  var testDescription: String { name }

  func text() throws -> String { try String(contentsOfFile: "\(Self.root)/\(name)", encoding: .utf8) }

  /// The lines of all blocks of code of a language; an empty one stands for blocks that name none.
  func code(_ language: String) throws -> [String] {
    var (found, inside): ([String], String?) = ([], nil)
    for line in try text().components(separatedBy: "\n") {
      if line.hasPrefix("```") {
        inside = inside == nil ? String(line.dropFirst(3)) : nil
      } else if inside == language {
        found.append(line)
      }
    }
    return found
  }

  /// What stands between single backticks.
  func spans() throws -> [String] {
    try text().components(separatedBy: "\n").flatMap { line in
      line.replacing(#/``[^`]*``/#, with: "").matches(of: #/`([^`]+)`/#).map { String($0.1) }
    }
  }
}
