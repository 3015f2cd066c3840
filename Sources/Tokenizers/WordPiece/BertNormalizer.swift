import Foundation

/// How BERT's uncased models see a text: control characters gone, lower case, accents off, spaces around Chinese
/// characters, and cut at white space and punctuation.
struct BertNormalizer: Hashable, Sendable {
  var cleansText = true
  var separatesChinese = true
  var stripsAccents = true
  var lowercases = true

  /// Calls `body` with the normalised bytes of each word of a text.
  ///
  /// - Parameter scratch: used for the words, so that their memory is allocated once.
  func forEachWord(
    of text: UnsafeBufferPointer<UInt8>, scratch: inout [UInt8], _ body: (UnsafeBufferPointer<UInt8>) -> Void
  ) {
    scratch.removeAll(keepingCapacity: true)
    func finish(_ word: inout [UInt8]) {
      guard !word.isEmpty else { return }
      word.withUnsafeBufferPointer(body)
      word.removeAll(keepingCapacity: true)
    }
    var place = 0
    while place < text.count {
      let byte = text[place]
      guard byte < 0x80, place + 1 == text.count || text[place + 1] < 0x80 else {
        // From a character that later ones may be composed with to the next that surely starts anew.
        var end = place
        repeat {
          end = UTF8Scalars.scalar(at: end, in: text).end
        } while end < text.count
          && (text[end] >= 0x80 || end + 1 < text.count && text[end + 1] >= 0x80)
        for scalar in normalized(UnsafeBufferPointer(rebasing: text[place..<end])) {
          if scalar.properties.isWhitespace {
            finish(&scratch)
          } else if BertCharacters.isPunctuation(scalar) {
            finish(&scratch)
            scratch.append(contentsOf: UTF8.encode(scalar)!)
            finish(&scratch)
          } else {
            scratch.append(contentsOf: UTF8.encode(scalar)!)
          }
        }
        place = end
        continue
      }
      place += 1
      switch byte {
      case 0x61...0x7A, 0x30...0x39: scratch.append(byte)
      case 0x41...0x5A: scratch.append(lowercases ? byte | 0x20 : byte)
      case 0x20, 0x09, 0x0A, 0x0D: finish(&scratch)
      case 0x0B...0x0C where !cleansText: finish(&scratch)
      case 0x21...0x7E:
        finish(&scratch)
        scratch.append(byte)
        finish(&scratch)
      default:  // control characters
        if !cleansText { scratch.append(byte) }
      }
    }
    finish(&scratch)
  }

  /// The scalars of a text after every step but the cutting.
  func normalized(_ text: UnsafeBufferPointer<UInt8>) -> [Unicode.Scalar] {
    var scalars: [Unicode.Scalar] = []
    scalars.reserveCapacity(text.count)
    for scalar in UTF8Scalars(text) {
      if cleansText {
        if BertCharacters.isRemoved(scalar) { continue }
        if scalar.properties.isWhitespace || ["\t", "\n", "\r"].contains(scalar) {
          scalars.append(" ")
          continue
        }
      }
      if separatesChinese, BertCharacters.isChinese(scalar) {
        scalars += [" ", scalar, " "]
      } else {
        scalars.append(scalar)
      }
    }
    if stripsAccents {
      scalars = CanonicalDecomposition.decompose(scalars).filter { !BertCharacters.isAccent($0) }
    }
    if lowercases {
      scalars = scalars.flatMap { scalar -> [Unicode.Scalar] in
        scalar.isASCII ? [lowercase(ascii: scalar)] : Array(scalar.properties.lowercaseMapping.unicodeScalars)
      }
    }
    return scalars
  }

  private func lowercase(ascii scalar: Unicode.Scalar) -> Unicode.Scalar {
    ("A"..."Z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value) | 0x20) : scalar
  }
}

/// The classes of characters in BERT's rules, as `tokenizers` has them: by Unicode 8, for which later characters are not
/// assigned, and with the categories that a few characters had then.
enum BertCharacters {
  static func isRemoved(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "\0", "\u{FFFD}": true
    case "\t", "\n", "\r": false
    default:
      switch scalar.properties.generalCategory {
      case .control, .privateUse, .surrogate: true
      case .format: isInUnicode8(scalar)
      default: false
      }
    }
  }

  static func isAccent(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x300, 0x1885...0x1886, 0xA9BD, 0x111C9: false
    case 0x1734, 0x1171E: true
    default: scalar.properties.generalCategory == .nonspacingMark && isInUnicode8(scalar)
    }
  }

  static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x80:
      switch scalar.value {
      case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: true
      default: false
      }
    case 0x166D, 0x111C9: true
    default:
      switch scalar.properties.generalCategory {
      case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
        .finalPunctuation, .otherPunctuation:
        isInUnicode8(scalar)
      default: false
      }
    }
  }

  static func isChinese(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
      0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F:
      true
    default: false
    }
  }

  static func isInUnicode8(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.age.map { $0.major <= 8 } ?? false
  }
}

/// Unicode's normalisation form D, which leaves characters later than Unicode 8 as they are.
enum CanonicalDecomposition {
  static func decompose(_ scalars: [Unicode.Scalar]) -> [Unicode.Scalar] {
    // Only those from U+00C0 on have a decomposition, or an order among marks.
    guard scalars.contains(where: { $0.value >= 0xC0 }) else { return scalars }
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(scalars.count)
    var known = String.UnicodeScalarView()
    func finish() {
      result += String(known).decomposedStringWithCanonicalMapping.unicodeScalars
      known = String.UnicodeScalarView()
    }
    for scalar in scalars {
      if scalar.isASCII || BertCharacters.isInUnicode8(scalar) {
        known.append(scalar)
      } else {
        finish()
        result.append(scalar)
      }
    }
    finish()
    return result
  }
}
