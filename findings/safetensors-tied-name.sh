#!/usr/bin/env bash
# Guess:   of tied weights (embedding and output head) a safetensors file keeps one, and always the same one.
# Seen:    safetensors' save_model keeps the name that is first in the alphabet, here the head's, and notes the other in
#          the file's metadata; transformers' save_pretrained keeps the embedding's and notes nothing.
# Version: safetensors 0.8.0, transformers 5.24.0, torch 2.13.0.
# Matters: readers in other languages look for the embedding, find no such tensor, or leave the head as it was made;
#          a reader has to know both names, and the metadata.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6 safetensors==0.8.0 transformers==5.24.0
HOME=$work OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PYTHON'
import sys
from safetensors import safe_open
from safetensors.torch import save_model
from transformers import GPT2Config, GPT2LMHeadModel

model = GPT2LMHeadModel(GPT2Config(vocab_size=10, n_embd=8, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=0))
save_model(model, "model.safetensors")
model.save_pretrained("folder")
tied = {"transformer.wte.weight", "lm_head.weight"}
kept = {}
for saver, path in (("save_model", "model.safetensors"), ("save_pretrained", "folder/model.safetensors")):
    with safe_open(path, "pt") as file:
        kept[saver] = tied & set(file.keys())
        print(f"{saver}: of {sorted(tied)} keeps {sorted(kept[saver])}; metadata {file.metadata()}")
sys.exit(None if kept["save_model"] == {"lm_head.weight"} != kept["save_pretrained"] else "no longer seen")
PYTHON
