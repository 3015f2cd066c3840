import CommandSupport
import EsoLM
import Foundation
import Settings
import TestSupport
import Testing

/// Settings of two groups, as small as they can be.
private struct Example: SettingGroup, Equatable {
  struct Inner: SettingGroup, Equatable {
    var size = 3
    var rate = 0.5
    var name: String?
    var isOn = false
    var paths: [String] = []
    static let settings: [Setting<Inner>] = [
      Setting(\.size, "size", help: "A size.", .within(1...9)), Setting(\.rate, "rate", help: "A rate.", .above0),
      Setting(\.name, "name", help: "A name."), Setting(\.isOn, "isOn", flag: "on", help: "Whether."),
      Setting(\.paths, "paths", help: "Paths."),
    ]
  }
  var inner = Inner()
  var seed: UInt64 = 1
  static let settings: [Setting<Example>] =
    Inner.settings.under("inner", \.inner) + [Setting(\.seed, "seed", help: "A seed.")]
}

@Suite("Files of settings")
struct SettingFileTests {
  private func read(_ path: String, _ overrides: [String] = []) throws -> Example {
    var given = try GivenSettings(contentsOf: path, for: Example.self)
    for override in overrides { given.merge(try GivenSettings(override: override, for: Example.self)) }
    var example = Example()
    try given.apply(to: &example)
    return example
  }

  private func file(_ text: String) throws -> String { try Scratch.file(text.utf8, name: "x.yaml") }

  @Test func whatIsSaidCountsAndTheRestIsAsUsual() throws {
    var expected = Example()
    expected.inner = Example.Inner(size: 7, rate: 1e-4, name: "010", isOn: true, paths: ["a", "b c"])
    let path = try file(
      "# a comment\ninner:\n  size: 7\n  rate: 1e-4\n  name: '010'\n  isOn: true\n  paths: [a, \"b c\"]\n")
    #expect(try read(path) == expected)
    #expect(try read(file("")) == Example())
    #expect(try read(file("{inner: {size: 2}}")).inner.size == 2)
    #expect(try read(file("inner.size: 2")).inner.size == 2)
    #expect(try read(file("inner:\n")) == Example())
    #expect(
      try read(file("inner:\r\n  paths: [\"R &D\", \"a: &D\", R-&D] # &D\r\n")).inner.paths == [
        "R &D", "a: &D", "R-&D",
      ])
  }

  @Test func overridesCountMoreThanFilesAndLaterOnesMore() throws {
    let path = try file("inner:\n  size: 7\n  name: a\n")
    let found = try read(
      path, ["inner.size=2", "seed=18446744073709551615", "inner.size=4", "inner.name=", "inner.paths=[x]"])
    #expect(found.inner.size == 4 && found.seed == .max && found.inner.name == nil && found.inner.paths == ["x"])
  }

  @Test func aFileExtendsOthers() throws {
    let base = try file("inner:\n  size: 7\n  rate: 2\n")
    let folder = URL(fileURLWithPath: base).deletingLastPathComponent().path
    try Data("extends: x.yaml\ninner:\n  rate: 3\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/y.yaml"))
    try Data("seed: 5\nextends: y.yaml\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/z.yaml"))
    let found = try read("\(folder)/z.yaml")
    #expect((found.inner.size, found.inner.rate, found.seed) == (7, 3, 5))
  }

  @Test(arguments: [
    ("inner:\n  sizes: 7\n", "2: there is no setting inner.sizes; the nearest is inner.size"),
    ("size: 7\n", "1: there is no setting size; the nearest is inner.size"),
    ("\n\niner:\n  rate: 7\n", "4: there is no setting iner.rate; the nearest is inner.rate"),
    ("inner: 5\n", "1: inner is 5, expected settings in it, such as inner.size"),
    ("inner:\n  size:\n    a: 1\n", "3: inner.size is a group of settings, expected one value"),
    ("inner:\n  size: big\n", "2: inner.size is 'big', expected a whole number"),
    ("inner:\n  size: 2.5\n", "2: inner.size is 2.5, expected a whole number"),
    ("inner:\n  size: '5'\n", "2: inner.size is '5', expected a whole number"),
    ("inner:\n  size: 10\n", "2: inner.size is 10, expected 1 to 9"),
    ("inner:\n  size: ~\n", "2: inner.size is nothing, expected a whole number"),
    ("inner:\n  rate: 0\n", "2: inner.rate is 0.0, expected a number above 0"),
    (
      "inner:\n  name: 5\n", "2: inner.name is 5, expected a text; numbers and words such as true are one in quotes"
    ),
    ("inner:\n  isOn: yes\n", "2: inner.isOn is 'yes', expected true or false"),
    ("inner:\n  paths: [[a]]\n", "2: inner.paths is a list of a list, expected a list of values"),
    (
      "seed: 010\n",
      "1: seed is 010, expected a number without leading zeros, _ and :, which programs read differently, or a text in quotes"
    ),
    ("seed: 1\ninner:\n  size: 2\n  size: 3\n", "3: size is given twice"),
    ("seed: 1\nseed: 2\n", "1: seed is given twice"),
    ("inner:\n  size: 2\ninner.size: 3\n", "3: inner.size is given twice, first in line 2"),
    ("inner: &a\n  size: 2\n", "1: found an anchor (&…), expected values written out"),
    ("# a comment\r\ninner: &a\r\n  size: 2\r\n", "2: found an anchor (&…), expected values written out"),
    ("inner: !!map &a {size: 2}\n", "1: found an anchor (&…), expected values written out"),
    ("inner:\n  paths: [&a x, *a]\n", "2: found an anchor (&…), expected values written out"),
    ("inner:\n  &a size: 2\n", "2: found an anchor (&…), expected values written out"),
    ("inner:\n  paths: [x, &a y]\n", "2: found an anchor (&…), expected values written out"),
    (
      "inner:\n  name: [\(String(repeating: "x", count: 300))]\n",
      "2: inner.name is ['\(String(repeating: "x", count: 198))…, expected a text; numbers and words such as true are one in quotes"
    ),
    ("\u{FEFF}&a inner: {size: 2}\n", "1: found an anchor (&…), expected values written out"),
    (
      "inner:\n  \(String(repeating: "x", count: 300)): 1\n",
      "2: there is no setting inner.\(String(repeating: "x", count: 74))…; the nearest is inner.size"
    ),
    ("seed: !!int '3'\n", "1: found the tag tag:yaml.org,2002:int, expected values without tags"),
    ("- a\n", "1: found a list, expected settings as key: value"),
    ("? [a]\n: b\n", "1: found a list as a key, expected the name of a setting"),
    ("extends: 5\n", "1: extends is 5, expected the name of a file"),
  ]) func whatDoesNotFitIsSaidWithItsLine(text: String, problem: String) throws {
    let path = try file(text)
    #expect(message { try read(path) } == "\(path):\(problem)")
  }

  @Test(arguments: [
    "a: [", "a: b: c\n", "seed: 1\n---\nseed: 2\n", "\u{1}", "a: *b", String(repeating: "[", count: 5000),
  ])
  func whatIsNoYAMLIsSaidOnOneLine(text: String) throws {
    let path = try file(text)
    let problem = try #require(message { try read(path) })
    #expect(problem.hasPrefix("\(path):") && !problem.contains("\n"), "\(problem)")
  }

  /// Each takes a moment: none is expanded, or read to its end, before it is refused.
  @Test func hostileFilesAreRefused() throws {
    let bomb = (0..<40).map { "a\($0): &a\($0) [*a\(max(0, $0 - 1)), *a\(max(0, $0 - 1))]\n" }.joined()
    let keys = (0..<40).map { "? &k\($0) [*k\(max(0, $0 - 1)), *k\(max(0, $0 - 1))]\n: 1\n" }.joined()
    let deep = (0..<500).map { String(repeating: " ", count: $0) + "a:\n" }.joined()
    for text in [
      bomb, keys, deep, String(repeating: "- ", count: 100_000), String(repeating: "{a: ", count: 50_000),
      String(repeating: "!", count: 200_000),
    ] {
      let path = try file(text)
      #expect(message { try read(path) }?.hasPrefix("\(path):") == true)
    }
    let long = try file("# " + String(repeating: "x", count: GivenSettings.sizeLimit))
    #expect(
      message { try read(long) }
        == "\(long) has \(GivenSettings.sizeLimit + 2) bytes, expected settings of at most \(GivenSettings.sizeLimit)")
    let binary = try Scratch.file([0xff, 0xfe, 0], name: "x.yaml")
    #expect(message { try read(binary) } == "\(binary) is no UTF-8 text, expected settings as YAML")
  }

  @Test func filesThatExtendEachOtherAreRefused() throws {
    let path = try file("extends: x.yaml\n")
    #expect(message { try read(path) } == "\(path):1: extends is x.yaml, which leads back to this file")
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    for number in 0..<40 {
      let text = "extends: \(number + 1).yaml\n"
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(number).yaml"))
    }
    #expect(
      message { try read("\(folder)/0.yaml") }?.contains("expected at most 16 files in a row") == true)
    let missing = try file("seed: 1\nextends: none.yaml\n")
    let base = URL(fileURLWithPath: missing).deletingLastPathComponent().path + "/none.yaml"
    #expect(
      message { try read(missing) }
        == "\(missing):2: extends is none.yaml: cannot read \(base): there is no such file")
  }

  @Test(arguments: [
    ("seed", "'seed' is no setting, expected key=value"), ("=5", "'=5' is no setting, expected key=value"),
    ("sed=5", "there is no setting sed; the nearest is seed"),
    ("seed=x", "seed is 'x', expected a whole number from 0"),
    ("seed=-1", "seed is -1, expected a whole number from 0"),
    (
      "seed=1_0",
      "seed is 1_0, expected a number without leading zeros, _ and :, which programs read differently, or a text in quotes"
    ),
    ("inner.size=0", "inner.size is 0, expected 1 to 9"),
    ("inner.name=a: b", "inner.name is a group of settings, expected a value"),
  ]) func overridesThatDoNotFitAreRefused(override: String, problem: String) throws {
    #expect(message { try read(file(""), [override]) } == problem)
  }

  @Test func anOverrideThatIsNoYAMLSaysHowATextIsWritten() throws {
    let problem = try #require(message { try read(file(""), ["inner.name=@x"]) })
    #expect(problem.hasPrefix("inner.name=@x: no valid YAML: ") && problem.hasSuffix("; a text can stand in quotes"))
  }

  @Test func whatIsWrittenIsReadBack() throws {
    var example = Example()
    example.seed = .max
    for name in [
      "a", "010", "true", "~", "", "a: b", "é\n\"'\\", "- x", "#", "1e3", "*a", " b ", "&a", "a\u{7f}b",
      "a\u{85}b\u{2028}c",
    ] {
      example.inner = Example.Inner(size: 2, rate: 1e-30, name: name, isOn: true, paths: [name, "b, c"])
      let tree = SettingTree(example.values)
      #expect(try read(file(tree.yaml)) == example, "\(tree.yaml)")
      let decoded = try JSONDecoder().decode(SettingTree.self, from: JSONEncoder().encode(tree))
      var other = Example()
      try GivenSettings(decoded.values, for: Example.self, required: []).apply(to: &other)
      #expect(other == example)
    }
  }
}
