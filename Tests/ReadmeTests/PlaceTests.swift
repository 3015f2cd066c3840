import Foundation
import Testing

/// Files and declarations that the articles name.
@Suite("Places in the articles")
struct PlaceTests {
  private static let folders = ["Sources/", "Tests/", "Benchmarks/", "scripts/", "findings/", "Documentation.docc/"]

  @Test(arguments: Markdown.all) func everyPathExists(file: Markdown) throws {
    // A script may be named with its options.
    let paths = try file.spans().map { String($0.prefix { $0 != " " }) }
    for path in paths where Self.folders.contains(where: path.hasPrefix) {
      #expect(FileManager.default.fileExists(atPath: "\(Markdown.root)/\(path)"), "\(path)")
    }
  }

  /// A Swift or C++ file of a walk is followed by what it declares, and at the end of the row by the line.
  @Test func everyHopOfTheWalksIsThere() throws {
    let hops = try Markdown(name: "Documentation.docc/Architecture.md").text().components(separatedBy: "\n")
      .compactMap { try? #/\| \d+ \| `([^`]+\.(?:swift|cpp))` \| `([^`]+)` \|.*\| (\d+) \|/#.wholeMatch(in: $0) }
    #expect(hops.count == 36)
    for hop in hops {
      let path = "\(Markdown.root)/Sources/\(hop.1)"
      guard let source = try? String(contentsOfFile: path, encoding: .utf8) else {
        Issue.record("\(hop.1) is no file of Sources")
        continue
      }
      // `Type.function(_:)` is declared by its last name; a type that is called, by its initialiser or its own name.
      let name = hop.2.prefix { $0 != "(" }.split(separator: ".").last.map(String.init) ?? ""
      let kinds = ["func", "var", "let", "case", "struct", "class", "enum", "protocol"].map { "\($0) \(name)" }
      let lines = source.components(separatedBy: "\n").enumerated().filter { _, line in
        kinds.contains { line.firstRange(of: try! Regex("\($0)\\b")) != nil }
          || name == "init" && line.contains(#/\binit\??[(<]/#) || hop.1.hasSuffix(".cpp") && line.contains("\(name)(")
      }.map { "\($0.offset + 1)" }
      #expect(lines.contains(String(hop.3)), "\(hop.1) declares \(name) in lines \(lines), not \(hop.3)")
    }
  }
}
