import Foundation
import TestSupport
import Testing
import Tokenizers

@Suite("Hugging Face's files")
struct HuggingFaceFileTests {
  @Test func filesAreWrittenAsTheyWereRead() throws {
    for tokenizer in [try Vocabularies.bytePairs(), try Vocabularies.wordPieces()] as [any Tokenizer] {
      let data = try TokenizerFile.data(for: tokenizer)
      let restored = try TokenizerFile.tokenizer(from: data)
      #expect(try TokenizerFile.data(for: restored) == data)
      #expect(try restored.encode("Hello [MASK]<|endoftext|> é") == tokenizer.encode("Hello [MASK]<|endoftext|> é"))
    }
  }

  @Test func theOlderFilesHoldTheSame() throws {
    let pairs = try TokenizerFile.tokenizer(at: "\(Vocabularies.folder)/vocab.json")
    #expect(try pairs as? BytePairTokenizer == Vocabularies.bytePairs())
    let pieces = try TokenizerFile.tokenizer(at: "\(Vocabularies.folder)/wordpiece-vocab.txt")
    #expect(try pieces as? WordPieceTokenizer == Vocabularies.wordPieces())
  }

  @Test func aFolderWithoutATokenizerIsNamed() throws {
    try withTemporaryFolder { folder in
      #expect(
        message { try TokenizerFile.tokenizer(at: folder) }
          == "\(folder) holds no tokenizer: expected one of tokenizer.json, vocab.json, vocab.txt")
      try "{}".write(to: "\(folder)/vocab.json")
      #expect(
        message { try TokenizerFile.tokenizer(at: folder) }
          == "cannot read \(folder)/merges.txt: there is no such file")
    }
    #expect(message { try TokenizerFile.tokenizer(at: "/no/such") } == "cannot read /no/such: there is no such file")
  }

  /// One change of the recorded `tokenizer.json`, and what is said about it.
  @Test(arguments: [
    (#""!":1,"#, #""!":2,"#, #"id 2 is both "!" and "\""; expected one token"#),
    (#""!":1,"#, #""!":70000,"#, #"token "!" has id 70000; expected less than 67536 for a vocabulary of this many"#),
    (#""!":1,"#, #""!":-1,"#, #"token "!" has id -1; expected at least 0"#),
    (#""!":1,"#, #""!":1,"!":7,"#, #"token "!" has the ids 1 and 7; expected one"#),
    (#""!":1,"#, #""!":"x","#, #"field "model.vocab.!" should be a whole number"#),
    (#"["h","e"]"#, #"["h","~~~~"]"#, "merge 2: its two parts and what they make are not all in the vocabulary"),
    (#"["h","e"]"#, #"["h"]"#, #"field "model.merges[1]" should be two tokens"#),
    (#""type":"BPE""#, #""type":"Unigram""#, #"field "model.type" is "Unigram", which is not supported"#),
    (#""type":"BPE","dropout":null"#, #""type":"BPE","dropout":0.1"#, #"field "model.dropout" is "a number""#),
    (#""normalizer":null"#, #""normalizer":{"type":"NFC"}"#, #"field "normalizer" is "NFC", which is not supported"#),
    (
      #""pre_tokenizer":{"type":"ByteLevel""#, #""pre_tokenizer":{"type":"Metaspace""#,
      #"field "pre_tokenizer" is "Metaspace""#
    ),
    (#""special":true"#, #""special":false"#, "no special token ends a text; expected "),
    (
      #""id":0,"#, #""id":3,"#,
      #"field "added_tokens[0].id": token "<|endoftext|>" has the id 3 there; expected 0, as elsewhere"#
    ),
    (
      #""added_tokens":["#,
      #""added_tokens":[{"id":1003,"content":"<x>","single_word":false,"lstrip":false,"rstrip":false,"normalized":true,"special":false},"#,
      #"field "added_tokens[0].id": token "<x>" has the id 1003 there; expected 1000, the next one"#
    ),
    (
      #""special":true"#, #""special":"yes""#, #"field "added_tokens[0].special" should be true or false"#
    ),
    (
      #""use_regex":true"#, #""use_regex":0"#,
      #"field "pre_tokenizer.use_regex" should be true or false"#
    ),
    (
      #""ignore_merges":false"#, #""ignore_merges":"yes""#,
      #"field "model.ignore_merges" should be true or false"#
    ),
    (#""unk_token":null"#, #""unk_token":"<x>""#, #"the vocabulary has no special token "<x>""#),
  ])
  func aChangedFileIsRefused(old: String, new: String, problem: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/tokenizer.json"
      // Written by us, so that there are no spaces between.
      let text = String(decoding: try TokenizerFile.data(for: Vocabularies.bytePairs()), as: UTF8.self)
      try #require(text.contains(old))
      var changed = text
      changed.replaceSubrange(changed.range(of: old)!, with: new)
      try changed.write(to: path)
      let found = try #require(message { try TokenizerFile.tokenizer(at: path) })
      #expect(found.hasPrefix("\(path): \(problem)"), "\(found)")
      #expect(!found.contains("\n"))
    }
  }

  @Test(arguments: [
    ("[UNK]\na\n\nb\n", "line 3 is empty; expected a token"),
    ("[UNK]\na\nb\na\n", #"line 4 is "a", as is line 2; expected each token once"#),
    ("a\nb\n", #"the vocabulary has no special token "[UNK]""#),
    (
      "[UNK]\n",
      #"no special token ends a text; expected "[SEP]" or "[EOS]", or eos_token in a tokenizer_config.json beside it"#
    ),
  ])
  func aWordPieceVocabularyWithFaultsIsRefused(text: String, problem: String) throws {
    try withTemporaryFolder { folder in
      try text.write(to: "\(folder)/vocab.txt")
      #expect(message { try TokenizerFile.tokenizer(at: folder) } == "\(folder)/vocab.txt: \(problem)")
    }
  }

  @Test(arguments: [
    ("#version: 0.2\nt h\nh\n", "line 3 is no pair of tokens"),
    ("t zz\n", "line 1 merges tokens that are not in the vocabulary"),
  ])
  func mergesWithFaultsAreRefused(merges: String, problem: String) throws {
    try withTemporaryFolder { folder in
      try FileManager.default.copyItem(atPath: "\(Vocabularies.folder)/vocab.json", toPath: "\(folder)/vocab.json")
      try merges.write(to: "\(folder)/merges.txt")
      #expect(
        message { try TokenizerFile.tokenizer(at: folder) }
          == "\(folder)/vocab.json with \(folder)/merges.txt: \(problem)")
    }
  }
}
