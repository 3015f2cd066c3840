#!/usr/bin/env bash
# Guess:   among equal values topk takes the lowest places, so topk(x, 1) is argmax(x).
# Seen:    topk and argmax choose differently; which of the equal values topk takes depends on the length of the row
#          and on k: with 16 equal values it starts at place 10, with 17 also, with 100 at 67, with 1,000 at 0.
# Version: torch 2.13.0, CPU.
# Matters: decoders that write the k most certain positions: bfloat16 confidences (256 steps between 0.5 and 1 at most)
#          tie often, a first step may tie everywhere, and then padding changes which positions are written;
#          "greedy" by topk is not "greedy" by argmax.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
HOME=$work OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PYTHON'
import sys
import torch

differ = []
for length in (5, 16, 17, 64, 100, 1000):
    row = torch.zeros(length)
    one, three, half = (row.topk(k).indices.tolist() for k in (1, 3, length // 2))
    print(f"{length:5} equal values: argmax {row.argmax()}, topk 1 {one}, 3 {three}, {length // 2} {half[:3]}…")
    differ.append(one[0] != row.argmax())

torch.manual_seed(0)
confidence = (torch.randn(256, 1000) + torch.tensor([9.0] + 999 * [0.0])).softmax(-1)[:, 0].bfloat16()
padded = torch.cat([confidence, torch.zeros(2048 - 256, dtype=torch.bfloat16)])
chosen, chosen_padded = set(confidence.topk(32).indices.tolist()), set(padded.topk(32).indices.tolist())
print(f"256 confidences in bfloat16 have {confidence.unique().numel()} values; of the 32 greatest positions "
      f"{len(chosen - chosen_padded)} are others after padding with zeros to 2,048")
sys.exit(None if any(differ) and chosen != chosen_padded else "no longer seen")
PYTHON
