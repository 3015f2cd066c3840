"""Compares esolm with Python's safetensors and tokenizers; see peers.sh."""

import ctypes
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

import safetensors
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

ESOLM, GPT2, VOCABULARIES = sys.argv[1:]


def esolm(*arguments, text=None):
    result = subprocess.run([ESOLM, *arguments], input=text, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"esolm {' '.join(arguments)} failed: {result.stderr}")
    return result.stdout


def require(condition, what):
    if not condition:
        sys.exit(f"differs: {what}")
    print(f"same: {what}")


# Texts: this repository's own, and strings of any characters.


def own_texts():
    for folder, _, files in sorted(os.walk("Sources")):
        for name in sorted(files):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                yield file.read()


def random_texts(count):
    generator = random.Random(1)
    ranges = [(32, 126), (9, 13), (160, 687), (768, 879), (880, 1327), (1424, 1791), (0x900, 0x97F), (0x3040, 0x30FF),
              (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x2000, 0x206F), (0x1F300, 0x1F6FF), (0x10000, 0x10FFFF), (1, 0xD7FF)]
    words = ["the", "I'll", "don't", " 2024", "\n\n", "  ", "na\u00efve", "\u0130", "\u1e9e", "<|endoftext|>", "[MASK]"]
    for _ in range(count):
        parts = []
        for _ in range(generator.randrange(1, 12)):
            low, high = generator.choice(ranges)
            parts.append(generator.choice(words) if generator.random() < 0.4
                         else "".join(chr(generator.randint(low, high)) for _ in range(generator.randrange(1, 6))))
        yield "".join(parts)


def ids_agree(folder, theirs, what):
    texts = list(own_texts()) + list(random_texts(4000))
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    ours = [json.loads(line)["tokens"] for line in
            esolm("tokenize", "--json", "--format", "jsonl", "--tokenizer", folder, text=lines).splitlines()]
    # esolm leaves out what a text says of the mask token: a model could not learn to write it.
    mask = theirs.token_to_id("[MASK]")
    expected = [[id for id in theirs.encode(text, add_special_tokens=False).ids if id != mask] for text in texts]
    wrong = [number for number, pair in enumerate(zip(ours, expected)) if pair[0] != pair[1]]
    if wrong:
        print(f"{texts[wrong[0]]!r:.400}: {ours[wrong[0]][:80]}, expected {expected[wrong[0]][:80]}", file=sys.stderr)
    require(len(ours) == len(texts) and not wrong, f"the ids of {len(texts)} texts, {what}")


# Tokenizers


def byte_level(vocabulary, merges):
    tokenizer = Tokenizer(models.BPE.from_file(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def word_piece(vocabulary):
    tokenizer = Tokenizer(models.WordPiece.from_file(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([token for token in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]])
    return tokenizer


def check_tokenizers(scratch):
    published = os.path.join(scratch, "gpt2")
    os.mkdir(published)
    shutil.copy(os.path.join(GPT2, "encoder.json"), os.path.join(published, "vocab.json"))
    shutil.copy(os.path.join(GPT2, "vocab.bpe"), os.path.join(published, "merges.txt"))
    gpt2 = byte_level(os.path.join(published, "vocab.json"), os.path.join(published, "merges.txt"))
    ids_agree(published, gpt2, "GPT-2's published vocabulary")
    gpt2.save(os.path.join(scratch, "gpt2.json"))
    ids_agree(os.path.join(scratch, "gpt2.json"), gpt2, "the same in the file that tokenizers writes")

    trained = os.path.join(scratch, "trained")
    esolm("tokenizer", "train", "Sources", "--vocabulary-size", "2000", "--out", trained)
    ids_agree(trained, Tokenizer.from_file(os.path.join(trained, "tokenizer.json")), "a BPE vocabulary learned by esolm")

    bert = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    bert.normalizer, bert.pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    bert.train_from_iterator(own_texts(), trainers.WordPieceTrainer(vocab_size=2000, special_tokens=special))
    folder = os.path.join(scratch, "bert")
    os.mkdir(folder)
    ids = sorted(bert.get_vocab().items(), key=lambda entry: entry[1])
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
        file.writelines(f"{token}\n" for token, _ in ids)
    ids_agree(folder, word_piece(os.path.join(folder, "vocab.txt")), "a WordPiece vocabulary learned by tokenizers")

    for name in ("gpt2", "bert-base-uncased"):
        folder = os.path.join(VOCABULARIES, name)
        if not VOCABULARIES or not os.path.isdir(folder):
            print(f"skipped: {name} in a folder VOCABULARIES, which was not given")
            continue
        theirs = (byte_level(os.path.join(folder, "vocab.json"), os.path.join(folder, "merges.txt")) if name == "gpt2"
                  else word_piece(os.path.join(folder, "vocab.txt")))
        ids_agree(folder, theirs, f"{folder}")


# Weights


def tensors(path):
    with open(path, "rb") as file:
        return dict(safetensors.deserialize(file.read()))


def check_weights(scratch):
    text = os.path.join(scratch, "text.txt")
    with open(text, "w", encoding="utf-8") as file:
        file.write("To be or not to be, that is the question.\n" * 100)
    run = os.path.join(scratch, "run")
    esolm("train", "--data", text, "--out", run, "--length", "16", "--hidden-size", "16", "--blocks", "2", "--heads", "2",
          "--conditioning-size", "8", "--batch", "2", "--steps", "2")
    described = json.loads(esolm("inspect", run, "--json"))
    listed = {tensor["name"]: tensor["shape"] for tensor in described["tensors"]}
    folder = os.path.join(scratch, "theirs")
    esolm("convert", run, folder, "--to", "hugging-face", "--raw-weights")
    written = tensors(os.path.join(folder, "model.safetensors"))
    own = tensors(os.path.join(run, "latest", "model.safetensors"))
    require({name: tensor["shape"] for name, tensor in own.items()} == listed,
            f"the {len(listed)} tensors that inspect lists and safetensors reads")
    bytes_of = lambda all: sorted(bytes(tensor["data"]) for tensor in all.values())
    require(all(data in bytes_of(written) for data in bytes_of(own)), "their numbers in a Hugging Face folder, bit for bit")

    # What safetensors writes, in another order, becomes the same run again.
    names = sorted(own, reverse=True)
    other = os.path.join(scratch, "other.safetensors")
    buffers = {name: (ctypes.c_char * len(own[name]["data"])).from_buffer_copy(bytes(own[name]["data"])) for name in names}
    with open(other, "wb") as file:
        file.write(safetensors.serialize(
            {name: safetensors.TensorSpec(dtype="float32", shape=own[name]["shape"], data_len=len(buffers[name]),
                                          data_ptr=ctypes.addressof(buffers[name])) for name in names}, {"format": "pt"}))
    again = os.path.join(scratch, "again")
    esolm("convert", other, again, "--heads", "2", "--length", "16", "--algo", "esolm-b", "--alpha0", "0.5")
    back = tensors(os.path.join(again, "latest", "model.safetensors"))
    require(own == back, "a run made of what safetensors wrote, bit for bit")


with tempfile.TemporaryDirectory() as scratch:
    check_weights(scratch)
    check_tokenizers(scratch)
