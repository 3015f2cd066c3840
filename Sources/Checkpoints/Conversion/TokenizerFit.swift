import EsoLM
import Files
import Foundation
import Tokenizers

// Which tokenizer a network's ids belong to.
//
// A network has an id for each token of its tokenizer and for the mask token. It may have more, which no token has, where
// its vocabulary was padded to a size that computes faster. Its distribution stays what it is: such ids are drawn
// as often as the network says, which was trained never to, and each is written as U+FFFD, as every tokenizer writes what
// is none of its ids.

/// What lies beside a checkpoint's weights.
enum TokenizerBeside {
  case found(any Tokenizer)
  case unreadable(String)
  case absent

  var tokenizer: (any Tokenizer)? { if case .found(let tokenizer) = self { tokenizer } else { nil } }
}

extension Checkpoint {
  func tokenizerBeside() -> TokenizerBeside {
    guard let folder, TokenizerFile.names.contains(where: { FileManager.default.fileExists(atPath: "\(folder)/\($0)") })
    else { return .absent }
    do {
      return .found(try TokenizerFile.tokenizer(at: folder))
    } catch {
      return .unreadable("\(error)")
    }
  }
}

extension Tokenizer {
  /// The mask token of a model with this tokenizer and so many ids; nil if this cannot be its tokenizer.
  ///
  /// - Throws: an error that asks for it where the vocabulary is padded and the tokenizer names none.
  func maskToken(ofVocabulary size: Int, path: String) throws -> Int? {
    guard modelVocabularySize < size else { return modelVocabularySize == size ? modelMaskToken : nil }
    if let maskToken { return Int(maskToken) }
    throw FileError(
      "\(path): its vocabulary has \(size) ids and the tokenizer \(vocabularySize) tokens; name the mask token's id "
        + "with --mask-token (\(vocabularySize) is the first that no token has)")
  }
}

extension TransformerConfiguration {
  func misfit(of tokenizer: any Tokenizer) -> FileError {
    FileError(
      "the tokenizer makes a vocabulary of \(tokenizer.modelVocabularySize) with the mask token "
        + "\(tokenizer.modelMaskToken), expected \(vocabularySize) and \(maskToken)")
  }

  /// The tokenizer if it can be the network's, and what there is to say of it.
  func choose(_ beside: TokenizerBeside) -> (tokenizer: (any Tokenizer)?, note: String?) {
    switch beside {
    case .absent: return (nil, nil)
    case .unreadable(let reason): return (nil, "no tokenizer was found that can be read: \(reason)")
    case .found(let tokenizer):
      guard fits(tokenizer) else {
        return (nil, "the tokenizer beside the weights is left out: \(misfit(of: tokenizer))")
      }
      guard tokenizer.modelVocabularySize < vocabularySize else { return (tokenizer, nil) }
      return (
        tokenizer,
        "the vocabulary of \(vocabularySize) ids is larger than the tokenizer's \(tokenizer.vocabularySize) tokens; "
          + "ids that no token has are written as \u{FFFD}"
      )
    }
  }

  /// Ids as text, for a network whose tokenizer is not at hand.
  var numberTokenizer: NumberTokenizer {
    maskToken == vocabularySize - 1
      ? NumberTokenizer(vocabularySize: vocabularySize - 1)
      : NumberTokenizer(vocabularySize: vocabularySize, maskToken: Int32(maskToken))
  }
}
