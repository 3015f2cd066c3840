#!/usr/bin/env bash
# Guess:   truncation=True and max_length are arguments of one call; they are no part of the tokenizer.
# Seen:    after one such call, save_pretrained writes the truncation and padding into tokenizer.json. transformers
#          undoes them when it reads the folder, so nobody notices there; every other reader of the file cuts or pads
#          each text to that length without a word.
# Version: transformers 5.24.0, tokenizers 0.23.3.
# Matters: checkpoints whose tokenizer is saved at the end of training, served by a reader of tokenizer.json alone.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile transformers==5.24.0 tokenizers==0.23.3
HOME=$work HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error venv/bin/python -W ignore - <<'PYTHON'
import json, sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

words = {word: i for i, word in enumerate(["[UNK]", "[PAD]", *"one two three four five six".split()])}
made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
made.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]")
long, short = "one two three four five six", "one"


def saved(name):
    tokenizer.save_pretrained(name)
    alone, again = Tokenizer.from_file(f"{name}/tokenizer.json"), PreTrainedTokenizerFast.from_pretrained(name)
    file = json.load(open(f"{name}/tokenizer.json"))
    print(f"{name}: truncation {file['truncation']}, padding {file['padding'] and file['padding']['strategy']}")
    print("  tokenizers:  ", alone.encode(long).tokens, alone.encode(short).tokens)
    print("  transformers:", again.tokenize(long), again.tokenize(short))
    return len(alone.encode(long).ids), len(alone.encode(short).ids), len(again(long).input_ids)


before = saved("before")
tokenizer([long, short], truncation=True, max_length=3, padding="max_length")
after = saved("after")
sys.exit(None if before == (6, 1, 6) and after == (3, 3, 6) else "no longer seen")
PYTHON
