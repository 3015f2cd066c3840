#!/usr/bin/env bash
# Guess:   torchmetrics' Perplexity is the exponential of the mean cross-entropy.
# Seen:    it takes softmax first and the logarithm after. One token that lies 104 nats or more under the rest makes the
#          perplexity of the whole evaluation infinite, where the mean cross-entropy gives 3.
# Version: torchmetrics 1.9.0, torch 2.13.0.
# Matters: confident models on foreign or damaged text, networks that forbid tokens by a large negative logit:
#          a data set's perplexity is lost to one token of millions.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6 torchmetrics==1.9.0
HOME=$work OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PYTHON'
import math, sys
import torch
from torchmetrics.text import Perplexity

torch.manual_seed(0)
logits, labels = torch.zeros(1, 2000, 3), torch.zeros(1, 2000, dtype=torch.long)
seen = {}
for depth in (0, 80, 120):
    logits[0, 0, 0] = -depth
    expected = torch.nn.functional.cross_entropy(logits[0], labels[0]).exp().item()
    seen[depth] = Perplexity()(logits, labels).item()
    print(f"one token of 2,000 lies {depth:3} nats under the rest: "
          f"exp of the mean cross-entropy {expected:.3f}, Perplexity {seen[depth]:.3f}")
sys.exit(None if math.isfinite(seen[80]) and math.isinf(seen[120]) else "no longer seen")
PYTHON
