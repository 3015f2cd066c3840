#!/usr/bin/env bash
# Guess:   a dynamically quantised linear layer chooses a scale for each row of activations, so a row's result is its
#          own affair; "dynamic" means per token, as in most descriptions of int8 inference.
# Seen:    one scale serves the whole batch. A row moves when another joins, by many times the fault of quantisation
#          itself when the other is larger.
# Version: torch 2.13.0, its default engine.
# Matters: serving with batches put together on the way: what one user gets depends on who else asks; scores of
#          an evaluation depend on the batch size and on the order of texts.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
HOME=$work OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PYTHON'
import sys
import torch

torch.manual_seed(0)
layer = torch.nn.Sequential(torch.nn.Linear(256, 256)).eval()
quantised = torch.ao.quantization.quantize_dynamic(layer, {torch.nn.Linear}, dtype=torch.qint8)
row, others = torch.randn(1, 256), torch.randn(7, 256)
moves = {}
with torch.no_grad():
    exact, alone = layer(row), quantised(row)
    print("engine:", torch.backends.quantized.engine)
    print(f"fault of quantisation, the row alone: {((alone - exact).norm() / exact.norm()).item():.2%}")
    for scale in (1, 3, 10, 30):
        joined = quantised(torch.cat([row, others * scale]))[:1]
        moves[scale] = ((joined - alone).norm() / exact.norm()).item()
        print(f"the row moves by {moves[scale]:.2%} when 7 rows {scale} times its size join")
sys.exit(None if moves[10] > 0.03 and moves[1] > 0 else "no longer seen")
PYTHON
