#!/usr/bin/env bash
# Guess:   training a byte-level BPE on a file and on the string that file holds gives the same vocabulary.
# Seen:    train([file]) reads the file line by line and train_from_iterator([text]) takes the text whole, so merges
#          over line ends (blank lines, a line end with the indentation after it) are only ever learned by the second.
# Version: tokenizers 0.23.3.
# Matters: vocabularies for code and for prose with blank lines: each is longer in tokens, and perplexities per token
#          of the two vocabularies are not those of "the same tokenizer".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile tokenizers==0.23.3
HOME=$work venv/bin/python - <<'PYTHON'
import sys
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

text = "".join(f"def f{i % 7}(x):\n\n    return x\n\n\n" for i in range(500))
with open("text.txt", "w") as file:
    file.write(text)


def trained(how):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    how(tokenizer, trainers.BpeTrainer(vocab_size=320, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                       show_progress=False))
    over = sorted(token for token in tokenizer.get_vocab() if "Ċ" in token[:-1])
    return over, len(tokenizer.encode(text).ids)


file = trained(lambda tokenizer, trainer: tokenizer.train(["text.txt"], trainer))
whole = trained(lambda tokenizer, trainer: tokenizer.train_from_iterator([text], trainer))
print("from the file:   tokens that go over a line end:", file[0], "length of the text:", file[1])
print("from the string: tokens that go over a line end:", whole[0], "length of the text:", whole[1])
sys.exit(None if not file[0] and whole[0] and file[1] > whole[1] else "no longer seen")
PYTHON
