#!/usr/bin/env bash
# Guess:   an exponential moving average made with decay 0.9999 has that decay: after 1,000 updates it is still
#          90 % the first weights.
# Seen:    torch_ema starts with a decay of 0.18 that grows with the updates: after 1,000 of them nothing is left of the
#          first weights, and 0.9999 is only reached at update 89,990. ema_pytorch copies the weights for the
#          first 100 calls, acts at each tenth call only, and then grows its decay in another way.
# Version: torch-ema 0.3, ema-pytorch 0.8.3, torch 2.13.0.
# Matters: short runs and fine-tuning: the "EMA" is nearly the last weights, so a gain from averaging is not what the
#          named decay promises; two projects with "EMA 0.9999" average over very different stretches.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6 torch-ema==0.3 ema-pytorch==0.8.3
HOME=$work OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PYTHON'
import sys
import torch
from ema_pytorch import EMA
from torch_ema import ExponentialMovingAverage


layer = torch.nn.Linear(1, 1, bias=False)
torch.nn.init.zeros_(layer.weight)
growing = ExponentialMovingAverage(layer.parameters(), decay=0.9999)
copying = EMA(layer, beta=0.9999)
named, rows = 0.0, {}
for call in range(1, 1001):
    torch.nn.init.constant_(layer.weight, call)
    growing.update()
    copying.update()
    named += (1 - 0.9999) * (call - named)
    rows[call] = named, growing.shadow_params[0].item(), copying.ema_model.weight.item()

print("the weight is the number of the call; averages of decay 0.9999, and those of torch_ema and ema_pytorch:")
for call in (10, 50, 99, 200, 1000):
    print(f"  after call {call:4}: {rows[call][0]:7.2f} {rows[call][1]:7.2f} {rows[call][2]:7.2f}")
print("calls up to 99 after which ema_pytorch's average changed:",
      [call for call in range(2, 100) if rows[call][2] != rows[call - 1][2]])
sys.exit(None if rows[1000][0] < 100 and min(rows[1000][1:]) > 400 else "no longer seen")
PYTHON
