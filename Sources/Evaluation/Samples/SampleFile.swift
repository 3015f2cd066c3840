import Files

/// Samples as `esolm sample --json` writes them.
public struct SampleFile: Decodable, Sendable {
  /// A line for each sample; before, one object for all.
  public static let currentFormat = 2
  /// Thousands of long samples, with a number of text for each token.
  private static let sizeLimit = 1 << 30

  /// A text that a run wrote.
  public struct Sample: Decodable, Sendable {
    /// What its tokens decode to.
    public let text: String
    /// Tokens of the run's vocabulary.
    public let tokens: [Int32]
  }

  /// The run folder that wrote them.
  public let run: String
  /// Tokens of a sample.
  public let length: Int
  /// All samples, in the file's order.
  public let samples: [Sample]

  private struct Line: Decodable {
    let run: String
    let length: Int
    let number: Int
    let text: String
    let tokens: [Int32]
  }

  private init(run: String, length: Int, samples: [Sample]) {
    self.run = run
    self.length = length
    self.samples = samples
  }

  /// - Throws: a `FileError` naming the file and the field if it is of another version or does not fit.
  public static func read(_ path: String) throws -> SampleFile {
    // The version comes first: another one may lack fields, and the message should say why.
    let versions = try JSONLinesFile.read(Version.self, from: path, skipBadLines: true)
    guard let first = versions.values.first, first.line < versions.badLines.first ?? .max,
      first.value.formatVersion != 1
    else { return try readObject(path) }
    if let other = versions.values.first(where: { $0.value.formatVersion != currentFormat }) {
      let found = other.value.formatVersion.map { "is \($0)" } ?? "is missing"
      throw FileError("\(path), line \(other.line): field 'formatVersion' \(found), expected \(currentFormat)")
    }
    let all = try JSONLinesFile.read(Line.self, from: path) { line in
      guard line.length >= 1 else { throw FileError("field 'length' is \(line.length), expected at least 1") }
      if let token = line.tokens.first(where: { $0 < 0 }) {
        throw FileError("field 'tokens' holds \(token), expected numbers from 0")
      }
    }.values
    if let other = all.first(where: { $0.value.run != all[0].value.run }) {
      throw FileError(
        "\(path), line \(other.line): field 'run' is \(other.value.run), expected \(all[0].value.run) as in the first line"
      )
    }
    return SampleFile(
      run: all[0].value.run, length: all.map(\.value.length).max()!,
      samples: all.map(\.value).sorted { $0.number < $1.number }.map { Sample(text: $0.text, tokens: $0.tokens) })
  }

  /// A file of the first version.
  private static func readObject(_ path: String) throws -> SampleFile {
    let version: Version = try JSONFile.read(from: path, limit: sizeLimit)
    guard version.formatVersion == 1 else {
      let found = version.formatVersion.map { "is \($0)" } ?? "is missing"
      throw FileError("\(path): field 'formatVersion' \(found), expected 1 or \(currentFormat)")
    }
    let file: SampleFile = try JSONFile.read(from: path, limit: sizeLimit)
    guard !file.samples.isEmpty else { throw FileError("\(path): field 'samples' is empty, expected a sample") }
    guard file.length >= 1 else { throw FileError("\(path): field 'length' is \(file.length), expected at least 1") }
    for (index, sample) in file.samples.enumerated() {
      if let token = sample.tokens.first(where: { $0 < 0 }) {
        throw FileError("\(path): field 'samples.\(index).tokens' holds \(token), expected numbers from 0")
      }
    }
    return file
  }

  private struct Version: Decodable { var formatVersion: Int? }
}
