#!/usr/bin/env bash
# Guess:   an element-wise function gives equal numbers for equal numbers.
# Seen:    gelu, silu, softplus and mish of one number depend on its place: what is left over after whole vectors of
#          a thread's share goes through other code than the rest. So the same activations differ with the size of the
#          tensor, and for some of its elements with the number of threads.
# Version: torch 2.13.0, CPU.
# Matters: bit-for-bit comparisons of cached and full decoding, of a row alone and in a batch, and of two machines
#          with different core counts; greedy decoding flips where two logits are close.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
HOME=$work OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PYTHON'
import sys
import torch
import torch.nn.functional as F

torch.manual_seed(0)
numbers = torch.randn(4000)
functions = {"gelu": F.gelu, "silu": F.silu, "softplus": F.softplus, "mish": F.mish, "relu": F.relu, "exp": torch.exp}
alone = {}
for name, function in functions.items():
    together, single = function(numbers), torch.cat([function(number.view(1)) for number in numbers])
    alone[name] = (together != single).float().mean().item()
    print(f"{name:9} of a number alone and among 4,000 differs for {alone[name]:6.1%} of the numbers")
activations = torch.randn(64, 3072)
torch.set_num_threads(1)
one = {name: function(activations) for name, function in functions.items()}
torch.set_num_threads(5)
moved = {name: int((function(activations) != one[name]).sum()) for name, function in functions.items()}
print("elements of a 64 × 3,072 tensor that differ between 1 and 5 threads:", moved)
sys.exit(None if alone["gelu"] > 0.01 and alone["silu"] > 0.01 and alone["relu"] == 0 else "no longer seen")
PYTHON
