import EsoLM
import Foundation
import Testing

/// The token that a sequence starts from: the one before texts, but in runs from before that could be said.
@Suite("The first token")
struct StartTokenTests {
  private func start(_ configuration: MethodConfiguration) -> Int32? {
    let method = try! configuration.method(for: TextTokens(mask: 5, beginning: 2, end: 3))
    return (method as? AutoregressiveMethod)?.start.token ?? (method as? BlockDiffusionMethod)?.firstToken
  }

  private static let methods = [
    MethodConfiguration(algorithm: .autoregressive, prepend: .bos, length: 8),
    MethodConfiguration(algorithm: .autoregressive, prepend: MethodConfiguration.Prepend.none, length: 8),
    MethodConfiguration(algorithm: .blockDiffusion, blockSize: 4, keepsFirstToken: true, length: 8),
  ]

  @Test(arguments: methods)
  func newRunsStartFromTheBeginningAndOldOnesAsTheyDid(configuration: MethodConfiguration) throws {
    #expect(start(configuration) == 2)
    let text = String(decoding: try JSONEncoder().encode(configuration), as: UTF8.self)
    #expect(text.contains(#""startToken":"beginning""#))
    let older = text.replacingOccurrences(of: #""startToken":"beginning","#, with: "")
      .replacingOccurrences(of: #","startToken":"beginning""#, with: "")
    let old = try JSONDecoder().decode(MethodConfiguration.self, from: Data(older.utf8))
    try old.validate()
    #expect(old.startToken == nil && start(old) == 3)
  }

  @Test func theMaskIsNoTokenOfText() {
    #expect(start(MethodConfiguration(algorithm: .autoregressive, length: 8)) == 5)
    #expect(MethodConfiguration(algorithm: .maskedDiffusion, length: 8).startToken == nil)
  }
}
