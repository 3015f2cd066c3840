import EsoLM
import Tokenizers
import Torch

/// A trained network and what belongs to it, as it is served.
public struct ServedModel: Sendable {
  /// What clients call it.
  public let name: String
  /// How it reads and writes.
  public let method: any GenerationMethod
  /// How text becomes tokens.
  public let tokenizer: any Tokenizer
  /// The sizes of the network.
  public let network: TransformerConfiguration
  /// How its matrices are kept.
  public var precision = Precision.float32
  /// The most tokens of a text: as many as it was trained on.
  public let length: Int
  /// When it was made, in seconds since 1970.
  public let created: Int

  /// How tokens are named in replies.
  let names: TokenNames

  /// A model by its parts.
  ///
  /// - Throws: ``EsoLM/ConfigurationError`` if its tokenizer writes no text.
  public init(
    name: String, method: any GenerationMethod, tokenizer: any Tokenizer, network: TransformerConfiguration,
    length: Int, created: Int
  ) throws {
    try ConfigurationError.require(
      !(tokenizer is NumberTokenizer), "tokenizer", "one of numbers, since the run's own was not at hand",
      expected: "one that makes text of tokens; convert the checkpoint again with its tokenizer's files beside it")
    self.name = name
    self.method = method
    self.tokenizer = tokenizer
    self.network = network
    self.length = length
    self.created = created
    names = TokenNames(tokenizer)
  }

  /// Whether a hole's length can be drawn by how well the text behind it fits: Eso-LM (B) alone.
  var drawsLengths: Bool {
    (method as? EsotericMethod)?.variant == .b && method.diffusionOrders.clean == .random
  }

  /// Whether positions before given ones can be written.
  var fillsHoles: Bool {
    method.leftToRightStart == nil && method.diffusionPass != nil && !(method is BlockDiffusionMethod)
  }
}

/// A name for each token that no other token has, as keys of `top_logprobs` need it.
package struct TokenNames: Sendable {
  private let names: [String]
  /// The text that stands for the token behind every document.
  let endOfText: String
  private let endToken: Int32

  package init(_ tokenizer: any Tokenizer) {
    let written = tokenizer.decode([tokenizer.endOfText], keepingSpecialTokens: true)
    let end = written.isEmpty ? "<|endoftext|>" : written
    endOfText = end
    endToken = tokenizer.endOfText
    var taken: Set<String> = []
    names = (0..<tokenizer.vocabularySize).map { id in
      let token = Int32(id)
      let name = token == tokenizer.endOfText ? end : Self.name(token, tokenizer)
      // The first token keeps a name that several have, such as "ing" and "##ing".
      let own = name.isEmpty || !taken.insert(name).inserted ? "token:\(id)" : name
      taken.insert(own)
      return own
    }
  }

  package subscript(token: Int32) -> String {
    names.indices.contains(Int(token)) ? names[Int(token)] : "token:\(token)"
  }

  /// A token's text, or its bytes where they are only a part of a character.
  private static func name(_ token: Int32, _ tokenizer: any Tokenizer) -> String {
    let bytes: [UInt8]
    switch tokenizer {
    case let tokenizer as BytePairTokenizer: bytes = tokenizer.bytes(of: [token], keepingSpecialTokens: true)
    case is ByteTokenizer: bytes = UInt8(exactly: token).map { [$0] } ?? []
    default: return tokenizer.decode([token], keepingSpecialTokens: true)
    }
    if let text = String(validating: bytes, as: UTF8.self) { return text }
    let digits = Array("0123456789abcdef")
    return "bytes:" + bytes.map { "\\x\(digits[Int($0 >> 4)])\(digits[Int($0 & 15)])" }.joined()
  }

  /// The tokens of a text, where the name of the end of text alone stands for that token.
  func encode(_ text: String, _ tokenizer: any Tokenizer) throws -> [Int32] {
    text == endOfText ? [endToken] : try tokenizer.encode(text)
  }
}
