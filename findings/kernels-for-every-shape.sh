#!/usr/bin/env bash
# Guess:   a linear layer that is called again and again needs no more memory, whatever the number of rows.
# Seen:    on the CPU, bfloat16 layers keep a kernel and its scratch memory for every number of rows that they have seen,
#          up to 1,024 of them for the whole process: memory grows for as long as new numbers come, to hundreds of MB for
#          layers of 2 MB. float32 layers of the same process do not while nothing is trained, since they go another way.
#          ONEDNN_PRIMITIVE_CACHE_CAPACITY and LRU_CACHE_CAPACITY bound it; both are read at the first product.
# Version: torch 2.13.0, a CPU with AVX-512-BF16.
# Matters: servers with continuous batching, where a call has any number of rows: it looks like a leak for minutes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
cat > grow.py <<'PYTHON'
import resource, sys, torch

kind = getattr(torch, sys.argv[1])
torch.manual_seed(0)
layers = torch.nn.ModuleList(torch.nn.Linear(512, 512) for _ in range(4)).to(kind)


def call(rows):
    x = torch.zeros(rows, 512, dtype=kind)
    for layer in layers:
        x = layer(x)


def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


with torch.no_grad():
    for _ in range(2000):
        call(1000)
    before = resident()
    for rows in range(1, 1000):
        call(rows)
    print(f"{resident() - before:.1f}")
PYTHON
run() { HOME=$work OMP_NUM_THREADS=2 "${@:2}" venv/bin/python -W ignore grow.py "$1"; }
float32=$(run float32 env) bfloat16=$(run bfloat16 env)
bounded=$(run bfloat16 env ONEDNN_PRIMITIVE_CACHE_CAPACITY=16 LRU_CACHE_CAPACITY=16)
echo "MB more after 999 other numbers of rows, weights 2 to 4 MB:"
echo "float32 $float32, bfloat16 $bfloat16, bfloat16 with room for 16 kernels $bounded"
python3 -c "import sys; a, b = map(float, sys.argv[1:]); sys.exit(None if a > 4 * max(b, 1) else 'no longer seen')" \
  "$bfloat16" "$bounded"
