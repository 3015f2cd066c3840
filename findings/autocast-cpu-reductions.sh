#!/usr/bin/env bash
# Guess:   autocast keeps softmax, log_softmax, layer_norm, exp and sums in float32, as its CUDA list says; a
#          bfloat16 training recipe means the same arithmetic on a CPU.
# Seen:    on CPU none of them is raised: they stay bfloat16. cross_entropy gives a float32 loss, so the obvious check
#          passes, while the same loss written with log_softmax and gather is rounded to 8 bits.
#          (The CUDA rules are asked by fake tensors, without a GPU.)
# Version: torch 2.13.0.
# Matters: losses written by hand (diffusion objectives weight log_softmax per token), samplers that take
#          softmax inside autocast, CPU tests of code meant for GPUs.
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
from torch._subclasses.fake_tensor import FakeTensorMode


def types(device):
    torch.set_autocast_enabled(device, True)
    torch.set_autocast_dtype(device, torch.bfloat16)
    with FakeTensorMode():
        logits = torch.empty(2, 8, device=device, dtype=torch.bfloat16)
        weight, labels = torch.empty(8, device=device), torch.zeros(2, dtype=torch.long, device=device)
        found = {
            "softmax": logits.softmax(-1), "log_softmax": logits.log_softmax(-1), "logsumexp": logits.logsumexp(-1),
            "layer_norm": F.layer_norm(logits, (8,), weight, weight), "exp": logits.exp(), "sum": logits.sum(),
            "cross_entropy": F.cross_entropy(logits, labels),
        }
    torch.set_autocast_enabled(device, False)
    return {name: str(value.dtype).removeprefix("torch.") for name, value in found.items()}


cpu, cuda = types("cpu"), types("cuda")
for name in cpu:
    print(f"{name:14} of bfloat16 under autocast: {cuda[name]} on CUDA, {cpu[name]} on CPU")
torch.manual_seed(0)
hidden, head, labels = torch.randn(64, 256), torch.randn(5000, 256) / 8, torch.randint(5000, (64,))
with torch.autocast("cpu", dtype=torch.bfloat16):
    logits = F.linear(hidden, head)
    whole = F.cross_entropy(logits, labels)
    by_hand = -logits.log_softmax(-1).gather(1, labels[:, None]).mean()
    total = logits.softmax(-1).float().sum(-1)
print(f"the same loss on CPU: cross_entropy {whole.item():.5f}, log_softmax and gather {by_hand.item():.5f}")
print(f"probabilities of a row add up to {total.min():.4f} … {total.max():.4f}")
raised = [name for name in cpu if cuda[name] == "float32" and cpu[name] == "bfloat16"]
sys.exit(None if {"log_softmax", "layer_norm"} <= set(raised) and whole != by_hand else "no longer seen")
PYTHON
