#!/usr/bin/env bash
# Guess:   Categorical(probs=p).log_prob(i) is log p[i]; for an impossible token it is minus infinity.
# Seen:    probabilities are clamped to the type's epsilon first: none is below −15.94 in float32, and in
#          bfloat16 none below −4.84, so every token less likely than 1 in 128 costs the same. Given logits
#          instead, nothing is clamped.
# Version: torch 2.13.0.
# Matters: likelihoods, importance weights and KL terms of language models, where most of 50,000 tokens are
#          rarer than 1 in 128; a perplexity computed that way is too good.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
HOME=$work OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PYTHON'
import math, sys
import torch
from torch.distributions import Categorical

odds = [1e-1, 1e-2, 1e-3, 1e-5, 1e-9, 0.0]
rest = 1 - sum(odds)
print("probability:          ", *(f"{p:9.0e}" for p in odds))
rows = {"exact": [math.log(p) if p else -math.inf for p in odds]}
for kind in (torch.float32, torch.bfloat16):
    given = torch.tensor([*odds, rest], dtype=kind)
    rows[f"probs,  {kind}"[:22]] = Categorical(probs=given).log_prob(torch.arange(6)).tolist()
    rows[f"logits, {kind}"[:22]] = Categorical(logits=given.log()).log_prob(torch.arange(6)).tolist()
for name, row in rows.items():
    print(f"{name:22}", *(f"{value:9.3f}" for value in row))
floors = [min(row) for name, row in rows.items() if name.startswith("probs")]
seen = -16 < floors[0] < -15.9 and -4.9 < floors[1] < -4.8
sys.exit(None if seen and min(rows["logits, torch.float32"]) == -math.inf else "no longer seen")
PYTHON
