#!/usr/bin/env bash
# Guess:   generate(do_sample=True) draws from the model's distribution when the generation configuration sets no top_k.
# Seen:    generation_config.top_k is None before and after, yet only the 50 likeliest tokens are ever drawn: the old
#          default of 50 is filled in inside the call. Passing top_k=None, the value that is already
#          there, turns it off, as does top_k=0.
# Version: transformers 5.24.0, torch 2.13.0.
# Matters: sampled baselines of language models: cut at 50, their texts have another entropy and generative
#          perplexity than the model, while the configuration saved beside them says that nothing was cut.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6 transformers==5.24.0
HOME=$work HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PYTHON'
import sys
import torch
from transformers import GPT2Config, GPT2LMHeadModel

torch.manual_seed(0)
config = GPT2Config(vocab_size=500, n_positions=8, n_embd=32, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
model = GPT2LMHeadModel(config).eval()
prompts = torch.tensor([[5, 6]]).repeat(5000, 1)
mask = torch.ones_like(prompts)


def distinct(**arguments):
    drawn = model.generate(prompts, attention_mask=mask, do_sample=True, max_new_tokens=1, pad_token_id=0, **arguments)
    return drawn[:, 2].unique().numel()


with torch.no_grad():
    logits = model(prompts[:1]).logits[0, -1]
expected = torch.multinomial(logits.softmax(-1), 5000, replacement=True).unique().numel()
print("top_k in the generation configuration:", model.generation_config.top_k)
counts = {"no argument": distinct(), "top_k=None": distinct(top_k=None), "top_k=0": distinct(top_k=0)}
print(f"distinct tokens in 5,000 draws from the distribution, of 500: {expected}")
for name, count in counts.items():
    print(f"  generate, {name}: {count}")
print("top_k in the generation configuration:", model.generation_config.top_k)
seen = model.generation_config.top_k is None and counts["no argument"] <= 50 < counts["top_k=0"]
sys.exit(None if seen else "no longer seen")
PYTHON
