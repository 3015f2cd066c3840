#!/usr/bin/env bash
# Checks EsoLM on a machine with a GPU that has PyTorch, but neither Swift nor a network. See `usage`.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/check-device.sh pack LIBTORCH FOLDER     where EsoLM is built
       FOLDER/check-device.sh run [cuda]                where the GPU is

pack  builds esolm against the libtorch in LIBTORCH, a folder with include/ and lib/, and puts it into FOLDER with the
      libraries of Swift, the parity cases, a text and this script. The version must be that of the PyTorch which the
      other machine's python3 has (torch/version.py). A build for the CPU serves: what is special to CUDA is looked for
      when it is asked for.
        python3 -m pip download --no-deps --index-url https://download.pytorch.org/whl/cpu torch==2.11.0
        unzip -q torch-*.whl 'torch/*' 'torch.libs/*' -d wheel
        scripts/check-device.sh pack wheel/torch device-check
run   checks there, within six minutes: recorded cases; that training lowers the loss, in float32 and with --bf16, and is
      the same on two processes, where there are two GPUs and Open MPI; that texts are the same with a cache and
      without, and on the CPU; that they are the same together and alone; how long a call takes. Exit code 1 if any of
      it fails. What was run is left in a temporary folder, which it names.
HELP
}

fail() { echo "check-device: error: $1" >&2; exit 1; }

# ---- where EsoLM is built ----

pack() {
  local torch folder name swift
  torch=$(cd "$1" && pwd) && mkdir -p "$2" && folder=$(cd "$2" && pwd)
  cd "$(dirname "$0")/.."
  LIBTORCH=$torch make build
  mkdir -p "$folder"/{cases,swift,system}
  strip -o "$folder/esolm" .build/release/esolm
  sed -n 's/^Version: //p' .libtorch/pkgconfig/libtorch.pc >"$folder/torch-version"
  libraries() { ldd .build/release/esolm | sed -n 's/.* => \(\/[^ ]*\).*/\1/p'; }
  swift=$(dirname "$(libraries | grep '/libswiftCore\.so$')")
  libraries | grep "^$swift/" | xargs cp -L -t "$folder/swift"
  # For a machine that lacks them.
  libraries | grep -E '/lib(crypto|z)\.so' | xargs cp -L -t "$folder/system"
  for name in Tests/Fixtures/*/config.json; do cp -R "$(dirname "$name")" "$folder/cases/"; done
  cat README.md CONTRIBUTING.md Documentation.docc/*.md >"$folder/text.txt"
  cp scripts/check-device.sh "$folder/"
  echo "packed $(du -sh "$folder" | cut -f 1) for libtorch $(<"$folder/torch-version") into $folder"
}

# ---- where the GPU is ----

esolm() { LD_LIBRARY_PATH=$libraries "$here/esolm" "$@"; }

failures=0
readonly seconds_in_all=360

# check NAME COMMAND...: runs it, and says what came of it; its output is kept.
check() {
  local name=$1 start=$SECONDS left=$((seconds_in_all - SECONDS)) status=0
  shift
  timeout "$((left > 1 ? left : 1))" bash -c 'set -eo pipefail; "$@"' _ "$@" >"$work/$name.log" 2>&1 || status=$?
  if [[ $status == 0 ]]; then
    echo "pass  $name ($((SECONDS - start)) s)"
  else
    failures=$((failures + 1))
    echo "FAIL  $name ($((SECONDS - start)) s, exit code $status)"
  fi
  { grep -v '^$' "$work/$name.log" || true; } | tail -n "${lines:-6}" | sed 's/^/      /'
}

parity() {
  esolm verify "$here"/cases/* --device "$device" --json >"$work/parity.json" || true
  python3 - "$work/parity.json" <<'PYTHON'
import json, os, sys
results = [r for r in json.load(open(sys.argv[1])) if r.get("skipped") is None]
bad = [r for r in results if not r["error"] <= r["tolerance"]]
worst = max(results, key=lambda r: r["error"] / r["tolerance"] if r["tolerance"] else 0)
for r in bad:
    print(f'{os.path.basename(r["folder"])}/{r["tensor"]}: error {r["error"]:.3g}, tolerance {r["tolerance"]:.3g}')
print(f'{len(results) - len(bad)} of {len(results)} tensors within their tolerances; nearest to it '
      f'{os.path.basename(worst["folder"])}/{worst["tensor"]}, {worst["error"]:.3g} of {worst["tolerance"]:.3g}')
sys.exit(1 if bad or not results else 0)
PYTHON
}

# training NAME ARGUMENTS...: the loss of the last steps must be well below that of the first.
training() {
  local run=$work/$1
  shift
  esolm train --data "$here/text.txt" --out "$run" --device "$device" --length 64 --steps 300 \
    --learning-rate 1e-3 --warmup 20 --validate-every 300 --validation-sequences 64 "$@"
  python3 - "$run/metrics.jsonl" <<'PYTHON'
import json, sys
steps = [json.loads(line) for line in open(sys.argv[1])]
part = max(1, len(steps) // 8)
first, last = (sum(s["loss"] for s in some) / part for some in (steps[:part], steps[-part:]))
speed = sorted(s["tokensPerSecond"] for s in steps)[len(steps) // 2]
print(f"loss {first:.3f} at first, {last:.3f} at last; {speed:.0f} tokens a second")
sys.exit(0 if last < first - 0.5 else 1)
PYTHON
}

# Dropout is each process's own.
processes() {
  local count
  for count in 1 2; do
    mpirun --allow-run-as-root -n "$count" -x LD_LIBRARY_PATH="$libraries" "$here/esolm" train --data "$here/text.txt" \
      --out "$work/processes-$count" --device "$device" --length 64 --batch 8 --steps 50 --dropout 0 --learning-rate 1e-3 \
      --validate-every 50 --validation-sequences 16
  done
  python3 - "$work"/processes-{1,2}/metrics.jsonl <<'PYTHON'
import json, sys
alone, together = ([json.loads(line)["loss"] for line in open(path)] for path in sys.argv[1:])
worst = max(abs(a - b) / a for a, b in zip(alone, together, strict=True))
print(f"losses of one process and of two differ by {worst:.2g} at most")
sys.exit(0 if worst < 1e-4 else 1)
PYTHON
}

texts() {
  local sample=(esolm sample "$work/float32" --num-samples 16 --top-p 0.95 --steps 24)
  "${sample[@]}" --device "$device" >"$work/cached"
  "${sample[@]}" --device "$device" --batch 1 --no-cache >"$work/uncached"
  "${sample[@]}" --device cpu >"$work/cpu"
  cmp "$work/cached" "$work/uncached"
  cmp "$work/cached" "$work/cpu"
  echo "16 texts are the same with a cache, without one, and on the CPU"
}

together() { esolm verify --batch-invariance "$work/float32" --device "$device"; }

speed() {
  local batch
  for batch in 1 16 64; do
    esolm bench sample --methods esolm-b --lengths 1024 --nfe 1 --batch "$batch" --seconds 5 --json \
      --device "$device" >"$work/bench-$batch.json"
    python3 - "$work/bench-$batch.json" <<'PYTHON'
import json, sys
for m in json.load(open(sys.argv[1])):
    print(f'{m["title"]}, model small, L = {m["length"]}, batch {m["batch"]}: {1000 * m["secondsPerCall"]:.3f} ms a call, '
          f'{m["batch"] * m["length"] / m["calls"] / m["secondsPerCall"]:.0f} tokens a second; reading takes '
          f'{1000 * m["bytesPerCall"] / m["bytesPerSecond"]:.3f} ms at {m["bytesPerSecond"] / 1e9:.0f} GB/s')
PYTHON
  done
}

run() {
  device=${1:-cuda}
  here=$(cd "$(dirname "$0")" && pwd)
  local torch version
  torch=$(python3 -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])' 2>/dev/null) ||
    fail "$(command -v python3 || echo python3) has no torch"
  version=$(sed -n "s/^__version__ = ['\"]\([0-9.]*\).*/\1/p" "$torch/version.py")
  [[ $version == "$(<"$here/torch-version")" ]] ||
    fail "esolm was built for libtorch $(<"$here/torch-version"), but python3 has torch $version; pack it for that"
  libraries=$torch/lib:$here/swift${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  if LD_LIBRARY_PATH=$libraries ldd "$here/esolm" | grep -q 'not found'; then libraries+=:$here/system; fi
  work=$(mktemp -d)
  export here work device libraries
  export -f esolm parity training processes texts together speed
  echo "libtorch $version of $torch, device $device, in $work"
  check parity parity
  check training training float32
  check training-bf16 training bf16 --bf16
  if command -v mpirun >/dev/null && [[ $(python3 -c 'import torch; print(torch.cuda.device_count())') -ge 2 ]]; then
    check processes processes
  else
    echo "left out: training on two processes, which wants two GPUs and mpirun"
  fi
  check texts texts
  check together together
  lines=20 check speed speed
  ((failures == 0)) || { echo "$failures checks failed"; exit 1; }
  echo "all checks passed in $SECONDS seconds"
}

case ${1:-} in
  pack) [[ $# == 3 ]] || { usage >&2; exit 2; }; pack "$2" "$3" ;;
  run) shift; [[ $# -le 1 ]] || { usage >&2; exit 2; }; run "$@" ;;
  -h | --help) usage ;;
  *) usage >&2; exit 2 ;;
esac
