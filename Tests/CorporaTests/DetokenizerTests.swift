import Corpora
import Testing

/// Beyond the recorded cases, which `ParityTests` runs.
@Suite("Detokenizers")
struct DetokenizerTests {
  @Test(arguments: [
    (Detokenizer.wikitext, "a ( b ( c ) d ) e", "a (b ( c) d ) e"), (.wikitext, "\" a \" b \" c \"", "\"a\" b \"c\""),
    (.wikitext, "( a", "( a"), (.wikitext, "(\u{3000}é\u{A0})", "(é)"),
    (.ptb, "N N N N N", "N 1 1 1 N"), (.ptb, "$ N # N x", "$1 #1 x"),
    (.lm1b, "a . b . c . d .", "a . b. c . d."), (.lm1b, "é . x ?", "é . x?"), (.lm1b, " é . x ?", " é. x?"),
    (.lm1b, "x !\n", "x!\n"), (.lm1b, "a - .", "a - ."), (.lm1b, " 'tis 's ' a '", "'tis's 'a'"),
    (.lm1b, "( a ( b )", "( a (b)"), (.lm1b, "\"  \" x \" y \"", "\"  \"x\" y \""),
    (.lambada, "\u{3000}“a” \n", "\n\"a\""), (.lambada, "", "\n"),
  ])
  func textIsRewritten(detokenizer: Detokenizer, text: String, expected: String) {
    #expect(detokenizer.apply(to: text) == expected)
  }

  @Test(arguments: Detokenizer.allCases) func brokenBytesStay(detokenizer: Detokenizer) {
    let bytes: [UInt8] = [0x61, 0xFF, 0x20, 0x2C, 0x20, 0xC3]
    let result = detokenizer.apply(to: bytes)
    #expect(result.contains(0xFF) && result.last == 0xC3)
  }
}
