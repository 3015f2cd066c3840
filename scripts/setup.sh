#!/usr/bin/env bash
# Finds or downloads libtorch and writes .libtorch/, which tells SwiftPM and the Makefile where it is.
# Runs before every build, so it is quick and silent when nothing has to be done. Bash 3.2 (macOS) is enough.
set -euo pipefail

usage() {
  cat <<'HELP'
Usage: scripts/setup.sh [--help]        (or: make setup)

Finds libtorch and writes .libtorch/pkgconfig/libtorch.pc (for SwiftPM) and .libtorch/config.mk (for make).
Installs pkg-config and the headers of zlib and libcrypto with apt where they are missing. Safe to run again; what the environment says decides each time.

libtorch is taken from the first of these:
  LIBTORCH=/path            a folder with include/ and lib/, version 2.11 to 2.15
  LIBTORCH_USE_PYTORCH=1    the PyTorch that `python3` would import
  (neither)                 torch 2.13.0 from pip, unpacked once per user: a CPU build (190 MB) where pip is offered one,
                            e.g. by PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu, else PyPI's wheel
                            (on Linux a CUDA build, 530 MB)

Other variables:
  DEVICE=cuda               also get what an NVIDIA GPU needs (about 2 GB more; Linux). Needed once: afterwards
                            this build is used for the CPU too, unless DEVICE=cpu
  ESOLM_CACHE=/path         where the download is kept (default: $XDG_CACHE_HOME/esolm or ~/.cache/esolm);
                            delete the folder to download again
HELP
}

readonly pinned=2.13.0            # the version that is downloaded
readonly oldest=11 newest=15      # 2.x that the C layer compiles against
scratch=                          # a temporary folder while a download is under way
trap '[[ -z $scratch ]] || rm -rf "$scratch"' EXIT

say() { echo "setup: $*"; }
fail() { echo "setup: error: $1" >&2; shift; for line in "$@"; do echo "  $line" >&2; done; exit 1; }

# ---- tools ----

# get COMMAND PACKAGE: installs PACKAGE with apt.
get() {
  if [[ $(uname) == Darwin ]]; then fail "$1 is missing; install it with: brew install $2"; fi
  command -v apt-get >/dev/null || fail "$1 is missing; install it with your system's package manager"
  local log apt="env DEBIAN_FRONTEND=noninteractive apt-get -qq"
  if [[ $(id -u) != 0 ]]; then
    command -v sudo >/dev/null || fail "$1 is missing; ask an administrator to run: apt-get install $2"
    apt="sudo $apt"
  fi
  apt_install() { $apt install -y --no-install-recommends "$1"; }
  say "installing $2 with apt"
  # On a fresh system the package lists are missing: then once more with new ones.
  log=$({ apt_install "$2" || { $apt update && apt_install "$2"; }; } 2>&1) ||
    fail "apt could not install $2, which has $1; install it yourself and run this again" "$log"
}

need() { command -v "$1" >/dev/null || get "$1" "$2"; }

# ---- the pinned download ----

# fetch REQUIREMENT...: downloads wheels into $scratch/wheels.
fetch() {
  # pip's big temporary files belong beside the cache, not in a /tmp that may be a small memory disk.
  TMPDIR=$scratch python3 -m pip download -q --disable-pip-version-check --no-input --progress-bar off \
    --dest "$scratch/wheels" ${other_python[@]+"${other_python[@]}"} "$@" >"$scratch/pip.log" 2>&1 && return
  { grep -v '^WARNING' "$scratch/pip.log" || true; } | tail -n 4 >&2
  [[ $device != cuda ]] ||
    echo "(Is pip limited to CPU builds? See 'pip config list' and PIP_INDEX_URL. DEVICE=cuda needs a CUDA build.)" >&2
  fail "pip could not download libtorch; its last lines are above. Check the network, or bring your own:" \
    "LIBTORCH=/path          a folder with include/ and lib/" \
    "LIBTORCH_USE_PYTORCH=1  the PyTorch installed for python3"
}

# Prints the NVIDIA packages that the torch wheel asks for, as pip requirements, one a line.
# For the CPU: only those whose libraries a CUDA build's libtorch_cpu is linked to.
nvidia_requirements() {
  python3 - "$device" "$1" <<'PYTHON'
import re, sys, zipfile
device, wheel = sys.argv[1], zipfile.ZipFile(sys.argv[2])
metadata = next(name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
for line in wheel.read(metadata).decode().split("\n\n")[0].splitlines():
    field, _, requirement = line.partition(": ")
    if field != "Requires-Dist":
        continue
    if device == "cpu":
        requirement = re.sub(r"^cuda-toolkit\[.*?\]", "cuda-toolkit[cudart,cupti]", requirement)
        needed = r"cuda-toolkit\b|nvidia-cuda-(runtime|cupti)\b"
    else:
        needed = r"cuda-toolkit\b|nvidia-"
    if re.match(needed, requirement):
        print(requirement)
PYTHON
}

# unpack FOLDER WHEEL...: headers, libraries and licences, but no Python, laid out as in Python's site-packages,
# because the libraries look for each other there ($ORIGIN/../../nvidia/...).
unpack() {
  python3 - "$device" "$@" <<'PYTHON'
import re, sys, zipfile
device, folder, wheels = sys.argv[1], sys.argv[2], sys.argv[3:]
wanted = re.compile(
    r"torch/include/.*"
    r"|(torch/lib|torch/\.dylibs|torch\.libs|nvidia/(.+/)?lib)/[^/]+\.(so(\.[\d.]+)?|dylib)"
    r"|[^/]+\.dist-info/(licenses/.+|(?i:licen[sc]e|notice)[^/]*)")
unwanted = r"torch_python|shm\.|test|aoti_custom_ops|backend_with_compiler|global_deps"
if device == "cpu":
    unwanted += r"|cuda|nvrtc|nvshmem"
unwanted = re.compile(rf"torch/lib/lib[^/]*({unwanted})[^/]*")
for wheel in map(zipfile.ZipFile, wheels):
    for name in wheel.namelist():
        if wanted.fullmatch(name) and not unwanted.fullmatch(name) and not name.endswith("/"):
            wheel.extract(name, folder)
PYTHON
}

# check_libraries FOLDER: fails if a library that libtorch is linked to is missing or too old.
check_libraries() {
  command -v ldd >/dev/null || return 0
  local name missing
  for name in libc10 libtorch_cpu libtorch_cuda; do
    [[ -f $1/$name.so ]] || continue
    missing=$(ldd "$1/$name.so" 2>&1 | grep 'not found') || continue
    fail "libtorch $pinned cannot run on this system; $name.so is linked to what is not there:" "$missing"
  done
}

# download FOLDER: makes FOLDER, whole or not at all.
download() {
  need python3 python3
  python3 -m pip --version >/dev/null 2>&1 || get pip python3-pip
  mkdir -p "$cache"
  find "$cache" -maxdepth 1 -name '.setup.*' -mmin +1440 -exec rm -rf {} + # left by set-ups that were killed
  scratch=$(mktemp -d "$cache/.setup.XXXXXX")

  # Nothing that depends on Python's version is used: where there is no torch for this Python, another's will do.
  other_python=()
  python3 -c 'import sys; sys.exit(sys.implementation.name != "cpython" or not 10 <= sys.version_info.minor <= 14)' ||
    other_python=(--only-binary=:all: --python-version 3.12 --implementation cp --abi cp312)

  say "downloading libtorch $pinned with pip (190 to 530 MB, once per user)"
  local torch="torch==$pinned"
  # Where pip knows a +cpu build as well as PyPI's, it would prefer that.
  [[ $device != cuda ]] || torch="$torch,!=$pinned+cpu"
  fetch --no-deps "$torch"

  nvidia_requirements "$scratch"/wheels/torch-*.whl >"$scratch/nvidia.txt"
  if [[ -s $scratch/nvidia.txt ]]; then
    if [[ $device == cuda ]]; then
      say "downloading NVIDIA's libraries for it (about 2 GB)"
    else
      say "it is a CUDA build: downloading NVIDIA's libraries that it needs even on the CPU (about 15 MB)"
    fi
    fetch -r "$scratch/nvidia.txt"
  elif [[ $device == cuda ]]; then
    fail "pip has only a CPU build of torch $pinned for this machine; name a CUDA build with LIBTORCH=/path or" \
      "LIBTORCH_USE_PYTORCH=1, or leave out DEVICE=cuda"
  fi

  say "unpacking it into $1"
  unpack "$scratch/tree" "$scratch"/wheels/*.whl || fail "could not unpack into $scratch; is the disk full?"
  check_libraries "$scratch/tree/torch/lib"
  # Renaming fails if another set-up was quicker: then its folder serves.
  python3 -c 'import os, sys; os.rename(*sys.argv[1:])' "$scratch/tree" "$1" 2>/dev/null || [[ -d $1 ]] ||
    fail "cannot write $1"
  rm -rf "$scratch"
  scratch=
}

# ---- which libtorch ----

# write FILE TEXT: only if it differs, since SwiftPM builds everything again after a change.
write() {
  [[ -f $1 && $(<"$1") == "$2" ]] && return
  mkdir -p "$(dirname "$1")"
  echo "$2" >"$1"
  wrote=yes
}

case ${1:-} in
  '') ;;
  -h | --help) usage; exit ;;
  *) usage >&2; exit 2 ;;
esac

case ${DEVICE:-} in
  '' | cpu | mps) device=cpu ;;
  cuda) device=cuda; [[ $(uname) == Linux ]] || fail "DEVICE=cuda needs Linux" ;;
  *) fail "DEVICE=$DEVICE is unknown; use cpu or cuda (mps on a Mac needs nothing more than cpu)" ;;
esac

need pkg-config pkg-config
# macOS has zlib and CryptoKit in its SDK.
pkg-config --exists zlib || [[ $(uname) == Darwin ]] || get zlib zlib1g-dev
pkg-config --exists libcrypto || [[ $(uname) == Darwin ]] || get libcrypto libssl-dev

folder= # of the download, where that is used
if [[ -n ${LIBTORCH:-} ]]; then
  source="LIBTORCH=$LIBTORCH"
  torch=$(cd "$LIBTORCH" 2>/dev/null && pwd) || fail "$source is not a folder"
elif [[ -n ${LIBTORCH_USE_PYTORCH:-} && $LIBTORCH_USE_PYTORCH != 0 ]]; then
  source="LIBTORCH_USE_PYTORCH=$LIBTORCH_USE_PYTORCH"
  need python3 python3
  # find_spec finds the folder without the seconds that importing takes.
  torch=$(python3 -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])' 2>/dev/null) ||
    fail "$source, but $(command -v python3) has no torch; activate the environment that has it"
else
  cache=${ESOLM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/esolm}
  # A CUDA build serves the CPU as well: who once asked for it need not repeat DEVICE=cuda.
  folder=$cache/libtorch-$pinned-$device
  if [[ -z ${DEVICE:-} && -d $cache/libtorch-$pinned-cuda ]]; then folder=$cache/libtorch-$pinned-cuda; fi
  source=$folder
  torch=$folder/torch
  [[ $cache == /* ]] || fail "the cache folder must be an absolute path, not $cache"
fi

# pkg-config and make split at spaces.
if [[ $torch == *[[:space:]]* ]]; then fail "libtorch cannot be used from a path with spaces: $torch"; fi
if [[ -n $folder && ! -d $folder ]]; then download "$folder"; fi
include=$torch/include lib=$torch/lib
api=$include/torch/csrc/api/include
[[ -f $api/torch/torch.h ]] || fail "$source is not libtorch: there is no $api/torch/torch.h"
[[ -f $lib/libtorch_cpu.so || -f $lib/libtorch_cpu.dylib ]] ||
  fail "$source is not libtorch: there is no $lib/libtorch_cpu.so (or .dylib)"
[[ $device != cuda || -f $lib/libtorch_cuda.so ]] ||
  fail "$source is a CPU build: there is no $lib/libtorch_cuda.so; leave out DEVICE=cuda or name a CUDA build"

header=$include/torch/headeronly/version.h
[[ -f $header ]] || header=$api/torch/version.h
number() { sed -n "s/^#define TORCH_VERSION_$1 \([0-9]*\).*/\1/p" "$header" 2>/dev/null || true; }
major=$(number MAJOR) minor=$(number MINOR) patch=$(number PATCH)
[[ $major == 2 && $minor -ge $oldest && $minor -le $newest ]] ||
  fail "$source is libtorch ${major:-?}.${minor:-?}, but this package needs 2.$oldest to 2.$newest"

cd "$(dirname "$0")/.."
wrote=
write .libtorch/pkgconfig/libtorch.pc "Name: libtorch
Description: libtorch, as scripts/setup.sh found it
Version: $major.$minor.$patch
Cflags: -I$include -I$api
Libs: -L$lib -ltorch_cpu -lc10"
write .libtorch/config.mk "LIBTORCH_LIB := $lib"
[[ -z $wrote ]] || say "using libtorch $major.$minor.$patch in $torch"
