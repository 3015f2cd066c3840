#!/usr/bin/env bash
# Guess:   going through a DataLoader without shuffling draws no random numbers, so an evaluation in the middle of
#          training leaves the training as it is.
# Seen:    each start of a DataLoader takes a number from the global generator (a seed for workers, even with none), so
#          every dropout mask after it is another one. A generator of the loader's own keeps it out of the way.
# Version: torch 2.13.0.
# Matters: "the same seed": runs that differ only in how often they evaluate, and runs resumed after an evaluation.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
HOME=$work OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PYTHON'
import sys
import torch
from torch.utils.data import DataLoader


def train(evaluations, **arguments):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Dropout(0.5), torch.nn.Linear(32, 1))
    data = torch.randn(64, 8)
    held_out = DataLoader(data[:8], batch_size=4, shuffle=False, num_workers=0, **arguments)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(20):
        model.train()
        loss = (model(data) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in evaluations:
            model.eval()
            with torch.no_grad():
                for batch in held_out:
                    model(batch)
    return loss.item()


none, one = train([]), train([5])
own = train([5], generator=torch.Generator())
print("last training loss, no evaluation:                              ", none)
print("last training loss, one evaluation without dropout and shuffling:", one)
print("the same, the loader with a generator of its own:               ", own)
sys.exit(None if none != one and none == own else "no longer seen")
PYTHON
