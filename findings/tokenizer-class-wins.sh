#!/usr/bin/env bash
# Guess:   a folder's tokenizer.json, the complete description of a tokenizer, decides how text is cut.
# Seen:    when tokenizer_config.json names a class such as GPT2Tokenizer, its normalizer and pre-tokenizer are thrown
#          away for those of the class; a cased BertTokenizer lower-cases unless do_lower_case says otherwise; and
#          a config.json of model type qwen2 alone does it too, even beside an explicit PreTrainedTokenizerFast.
#          No fault, no warning: the vocabulary is kept, so the identifiers are valid, and others.
# Version: transformers 5.24.0, tokenizers 0.23.3.
# Matters: models with a tokenizer of their own saved under a well-known class; whoever reads tokenizer.json
#          by itself (Rust, Swift, JavaScript) sees other tokens than transformers does.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile transformers==5.24.0 tokenizers==0.23.3
HOME=$work HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error venv/bin/python -W ignore - <<'PYTHON'
import json, os, sys
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer

text = "Hello World 12"


def folder(name, tokenizer, **files):
    os.makedirs(name)
    tokenizer.save(f"{name}/tokenizer.json")
    for file, content in files.items():
        json.dump(content, open(f"{name}/{file}.json", "w"))
    return AutoTokenizer.from_pretrained(name).tokenize(text)


bpe = Tokenizer(models.BPE())
bpe.normalizer = normalizers.Lowercase()
bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bpe.decoder = decoders.ByteLevel()
bpe.train_from_iterator(["hello world 12"] * 9, trainers.BpeTrainer(
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|endoftext|>"], show_progress=False))
words = {word: i for i, word in enumerate("[UNK] [CLS] [SEP] [PAD] [MASK] hello Hello world World 12".split())}
cased = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
cased.normalizer = normalizers.BertNormalizer(lowercase=False)
cased.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

own, plain = bpe.encode(text).tokens, {"tokenizer_class": "PreTrainedTokenizerFast"}
seen = {
    "PreTrainedTokenizerFast": folder("fast", bpe, tokenizer_config=plain),
    "GPT2Tokenizer": folder("gpt2", bpe, tokenizer_config={"tokenizer_class": "GPT2Tokenizer"}),
    "… Fast, model type qwen2": folder("qwen2", bpe, tokenizer_config=plain, config={"model_type": "qwen2"}),
    "BertTokenizer": folder("bert", cased, tokenizer_config={"tokenizer_class": "BertTokenizer"}),
}
print(f"{'tokenizer.json, lower-casing BPE':34}", own)
print(f"{'tokenizer.json, cased WordPiece':34}", cased.encode(text).tokens)
for name, tokens in seen.items():
    print(f"{name:34}", tokens)
changed = [seen["GPT2Tokenizer"] != own, seen["… Fast, model type qwen2"] != own, seen["BertTokenizer"][0] == "hello"]
sys.exit(None if all(changed) and seen["PreTrainedTokenizerFast"] == own else "no longer seen")
PYTHON
