#!/usr/bin/env bash
# Guess:   attention reports minus infinity as the log-sum-exp of a query that sees no key: the sum is empty.
# Seen:    the CPU flash kernel reports 0, the log-sum-exp of one key with score 0; flex_attention of the same library
#          says minus infinity. Outputs are 0 in both. Merging the parts of a split key sequence by these numbers,
#          as ring attention and split caches do, then pulls the result towards 0.
# Version: torch 2.13.0, CPU.
# Matters: block-wise and any-order masks, where some queries see nothing of a part of the keys.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
HOME=$work OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PYTHON'
import math, sys
import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

torch.manual_seed(0)
q, k, v = (torch.randn(1, 1, 128, 16) for _ in range(3))
sees = torch.ones(128, 128, dtype=torch.bool).tril()  # the first 64 queries see nothing of the second half


def flash(part):
    bias = torch.zeros(128, 128).masked_fill(~sees, -math.inf)[None, None, :, part]
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k[:, :, part], v[:, :, part], attn_mask=bias)


def merged(parts):
    outputs, sums = zip(*parts)
    weights = torch.stack(sums).softmax(0)[..., None]
    return (torch.stack(outputs) * weights).sum(0)


halves = [flash(slice(0, 64)), flash(slice(64, 128))]
mask = create_block_mask(lambda b, h, i, j: sees[i, j + 64], 1, 1, 128, 64, device="cpu")
flexible = flex_attention(q, k[:, :, 64:], v[:, :, 64:], block_mask=mask, return_lse=True)
whole = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=sees)
mended = [(output, sums.masked_fill(~sees[:, part].any(-1), -math.inf))
          for (output, sums), part in zip(halves, (slice(0, 64), slice(64, 128)))]
errors = [(merged(parts) - whole).abs().max().item() for parts in (halves, mended)]
print("log-sum-exp of query 0 over the keys it does not see: flash", halves[1][1][0, 0, 0].item(),
      " flex_attention", flexible[1][0, 0, 0].item())
print("greatest fault after merging two halves:                   ", errors[0])
print("the same with the empty rows set to minus infinity by hand:", errors[1])
sys.exit(None if halves[1][1][0, 0, 0] == 0 and errors[0] > 0.1 > 1e-4 > errors[1] else "no longer seen")
PYTHON
