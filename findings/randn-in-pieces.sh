#!/usr/bin/env bash
# Guess:   two calls of torch.randn(10) give the numbers of one call of torch.randn(20), as torch.rand does; a bigger
#          tensor begins with the numbers of the smaller one; and memory layout is of no importance.
# Seen:    none of it for normal numbers on a CPU. From 16 elements on they are made in blocks, and when
#          the count is no multiple of 16 the last 16 are drawn anew; a transposed tensor takes another way again.
# Version: torch 2.13.0.
# Matters: noise "made reproducible" by seed: batches cut in pieces (accumulation, more processes), a sample made alone
#          or in a batch, weights initialised through a transposed view.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
HOME=$work OMP_NUM_THREADS=1 venv/bin/python -W ignore - <<'PYTHON'
import sys
import torch


def after_seed(make):
    torch.manual_seed(0)
    return make()


def same_in_pieces(draw):
    return torch.equal(after_seed(lambda: torch.cat([draw(10), draw(10)])), after_seed(lambda: draw(20)))


def agreeing(count):
    few, many = after_seed(lambda: torch.randn(count)), after_seed(lambda: torch.randn(64))
    return int((few == many[:count]).sum())


pieces = {"rand": same_in_pieces(torch.rand), "randn": same_in_pieces(torch.randn)}
prefix = {count: agreeing(count) for count in (15, 16, 17, 31, 32)}
straight = after_seed(lambda: torch.empty(4, 8).normal_())
turned = after_seed(lambda: torch.empty(8, 4).t().normal_())
print("10 and 10 numbers equal 20 numbers:", pieces)
print("numbers shared with the head of randn(64), by count:", prefix)
print("a 4 × 8 tensor equals one with transposed memory:", torch.equal(straight, turned))
seen = pieces == {"rand": True, "randn": False} and prefix[16] == 16 and prefix[17] < 17
sys.exit(None if seen and not torch.equal(straight, turned) else "no longer seen")
PYTHON
