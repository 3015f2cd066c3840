#!/usr/bin/env bash
# Guess:   all_reduce adds the ranks' numbers in one order, so equal inputs at all places give equal sums at all places.
# Seen:    with 4 ranks the sum of the same four numbers has other bits in each part of the buffer: the parts are
#          added in different orders of the ranks. All ranks agree on the result; places don't.
# Version: torch 2.13.0, Gloo on CPU.
# Matters: gradients of tied or symmetric parameters stop being equal; a parameter's gradient changes when the buffer it
#          is packed into is laid out anew, so the same seed and world size are not enough for the same bits.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
cat > sum.py <<'PYTHON'
import sys
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

NUMBERS = [0.1, 1e8, -1e8, 0.3]


def work(rank, file):
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=4)
    buffer = torch.full((1000,), NUMBERS[rank])
    dist.all_reduce(buffer)
    copies = [torch.empty_like(buffer) for _ in range(4)]
    dist.all_gather(copies, buffer)
    if rank == 0:
        starts = [0] + (1 + (buffer[1:] != buffer[:-1]).nonzero().flatten()).tolist()
        print("numbers of the four ranks, the same at all 1,000 places:", NUMBERS)
        print("sums, by the place where they begin:", {start: round(buffer[start].item(), 4) for start in starts})
        print("all ranks hold the same sums:", all(torch.equal(copy, buffer) for copy in copies))
        torch.save(len(starts) > 1, "seen.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    mp.spawn(work, (f"{sys.path[0]}/meeting",), nprocs=4)
    sys.exit(None if torch.load("seen.pt") else "no longer seen")
PYTHON
OMP_NUM_THREADS=1 venv/bin/python -W ignore sum.py
