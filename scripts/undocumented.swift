// Lists the public declarations without a comment in a folder of symbol graphs, and fails if there are any.
//
// Left out is what needs none: what a protocol of the standard library asks for (`==`, `hash(into:)`, `description` …).
// What fulfils a requirement of a protocol of ours has the requirement's comment.
import Foundation

struct Graph: Decodable {
  struct Symbol: Decodable {
    struct Kind: Decodable { let identifier: String }
    struct Comment: Decodable {}
    struct Location: Decodable {
      struct Position: Decodable { let line: Int }
      let uri: String
      let position: Position
    }
    let kind: Kind
    let pathComponents: [String]
    let docComment: Comment?
    let location: Location?
  }
  let symbols: [Symbol]
}

let known: Set = [
  "==(_:_:)", "<(_:_:)", "hash(into:)", "encode(to:)", "init(from:)", "init(rawValue:)", "rawValue", "description",
  "startIndex", "endIndex", "allCases", "id",
]

guard CommandLine.arguments.count == 2 else {
  print("usage: swift undocumented.swift FOLDER")
  exit(2)
}
let folder = URL(fileURLWithPath: CommandLine.arguments[1])
let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
let root = FileManager.default.currentDirectoryPath + "/"

var missing: Set<String> = []
var count = 0
for file in files where file.pathExtension == "json" {
  for symbol in try JSONDecoder().decode(Graph.self, from: Data(contentsOf: file)).symbols {
    guard let location = symbol.location, let name = symbol.pathComponents.last, !known.contains(name) else { continue }
    count += 1
    guard symbol.docComment == nil else { continue }
    let path = URL(string: location.uri)!.path
    let place = path.hasPrefix(root) ? String(path.dropFirst(root.count)) : path
    missing.insert("\(place):\(location.position.line + 1): \(symbol.pathComponents.joined(separator: "."))")
  }
}
for line in missing.sorted() { print(line) }
print("\(missing.count) of \(count) public declarations have no comment")
exit(missing.isEmpty ? 0 : 1)
