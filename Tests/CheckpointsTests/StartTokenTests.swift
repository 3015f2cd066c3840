import Checkpoints
import EsoLM
import Foundation
import Testing

/// The token that a sequence starts from: the one before texts, but in runs from before that could be said.
@Suite("The first token")
struct StartTokenTests {
  private let network = TransformerConfiguration(
    vocabularySize: 6, maskToken: 5, hiddenSize: 8, numBlocks: 1, numHeads: 2, conditioningSize: 4, dropout: 0)

  private func start(_ configuration: MethodConfiguration) -> Int32? {
    configuration.method(maskToken: 5, beginningOfText: 2, endOfText: 3).decoding.start?.token
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

  /// A folder says it, so that a run that becomes one and a run again starts as before.
  @Test(arguments: methods)
  func foldersKeepIt(configuration: MethodConfiguration) throws {
    for token in [MethodConfiguration.StartToken.beginning, .end, nil] {
      var method = configuration
      method.startToken = token
      let settings = ModelSettings(ModelSettings(network, method: method).plain)
      #expect(try settings.method(for: network, path: "folder").startToken == token ?? .end)
    }
  }

  @Test func theMaskIsNoTokenOfText() {
    #expect(start(MethodConfiguration(algorithm: .autoregressive, length: 8)) == 5)
    #expect(MethodConfiguration(algorithm: .maskedDiffusion, length: 8).startToken == nil)
  }
}
