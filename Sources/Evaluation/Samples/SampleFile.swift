import Files

/// Samples as `esolm sample --json` writes them.
public struct SampleFile: Decodable, Sendable {
  public static let currentFormat = 1
  /// Thousands of long samples, with a number of text for each token.
  private static let sizeLimit = 1 << 30

  public struct Sample: Decodable, Sendable {
    public let text: String
    public let tokens: [Int32]
  }

  /// The run folder that wrote them.
  public let run: String
  /// Tokens of a sample.
  public let length: Int
  public let samples: [Sample]

  /// - Throws: a `FileError` naming the file and the field if it is of another version or does not fit.
  public static func read(_ path: String) throws -> SampleFile {
    // The version comes first: another one may lack fields, and the message should say why.
    let version: Version = try JSONFile.read(from: path, limit: sizeLimit)
    guard version.formatVersion == currentFormat else {
      throw FileError("\(path): field 'formatVersion' is \(version.formatVersion), expected \(currentFormat)")
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

  private struct Version: Decodable { var formatVersion: Int }
}
