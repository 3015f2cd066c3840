#!/usr/bin/env bash
# Guess:   a processor that lists avx512_bf16 multiplies bfloat16 matrices about twice as fast as float32 ones, since its
#          instruction makes two multiplications where that for float32 makes one.
# Seen:    on an Intel processor of 2023 (Emerald Rapids; avx512_bf16 and avx512_fp16) the instruction takes four
#          times as long as one for float32, so matrices take about twice as long, 1.9 times here. It is AMX that is fast
#          there, and virtual machines may hide it: all that says "bfloat16 is supported" then still says so.
#          Where AMX is seen the library is told to leave it out, to show the same.
# Version: torch 2.13.0 (oneDNN's brg_matmul:avx512_core_bf16, MKL for float32).
# Matters: autocast on CPUs in the cloud, benchmarks of bfloat16 on them, checks for avx512_bf16 before a model is rounded.
set -euo pipefail
grep -qw avx512_fp16 /proc/cpuinfo && grep -qw avx512_bf16 /proc/cpuinfo && grep -q GenuineIntel /proc/cpuinfo || {
  echo "This can be seen on Intel processors with avx512_bf16 and avx512_fp16 alone; this one is another." >&2
  exit 3
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 numpy==2.4.6
HOME=$work ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 venv/bin/python - <<'PYTHON'
import sys
import time
import torch

torch.set_num_threads(1)
torch.manual_seed(0)


def seconds(kind):
    x, weight = (torch.randn(1024, 1024).to(kind) for _ in range(2))
    x @ weight
    times = []
    for _ in range(15):
        start = time.perf_counter()
        x @ weight
        times.append(time.perf_counter() - start)
    return min(times)


print("PyTorch says that bfloat16 is supported:", torch.ops.mkldnn._is_mkldnn_bf16_supported())
# In turn, and the best of each: other work on the machine slows both.
rounds = [(seconds(torch.bfloat16), seconds(torch.float32)) for _ in range(3)]
ratio = min(time for time, _ in rounds) / min(time for _, time in rounds)
print(f"a product of bfloat16 matrices takes {ratio:.1f} times as long as one of float32")
sys.exit(None if ratio > 1.3 else "no longer seen")
PYTHON
