#!/usr/bin/env bash
# Guess:   inside autocast, a layer computes with the weights that it has now.
# Seen:    the bfloat16 copy of a weight is kept until the autocast block ends. Weights changed inside it (an averaged
#          copy swapped in, load_state_dict, an optimizer step) are not seen: the model goes on with the old ones,
#          also under no_grad.
# Version: torch 2.13.0, here on CPU.
# Matters: evaluations that compare raw and averaged (EMA) weights, or several checkpoints, in one block: both columns
#          of the table come out equal. So does training with autocast around the loop in place of the step.
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
layer, x = torch.nn.Linear(8, 1, bias=False), torch.randn(4, 8)
trained, averaged = layer.state_dict()["weight"].clone(), torch.zeros(1, 8)


def norms(**arguments):
    layer.load_state_dict({"weight": trained})
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, **arguments):
        first = layer(x).norm().item()
        layer.load_state_dict({"weight": averaged})
        return first, layer(x).norm().item()


kept, fresh = norms(), norms(cache_enabled=False)
print("output with the trained weights, then with weights of zero, one autocast block:", kept)
print("the same with cache_enabled=False:                                            ", fresh)
layer.load_state_dict({"weight": trained})
optimizer, losses = torch.optim.SGD(layer.parameters(), lr=0.05), []
with torch.autocast("cpu", dtype=torch.bfloat16):
    for _ in range(5):
        optimizer.zero_grad()
        loss = layer(x).float().square().mean()
        loss.backward()
        optimizer.step()
        losses.append(round(loss.item(), 4))
print("losses of a training loop inside one block:", losses)
sys.exit(None if kept[0] == kept[1] > 0 == fresh[1] and len(set(losses)) == 1 else "no longer seen")
PYTHON
