#!/usr/bin/env bash
# Compiles our own kernels with AddressSanitizer and UndefinedBehaviorSanitizer and calls them on odd sizes, in every form
# that this machine can run. Needs `make setup` and a clang++ with its sanitizers, which the Swift toolchain brings along.
#
# ThreadSanitizer is of no use here: it knows nothing of the barriers of libgomp, which libtorch brings along compiled
# without it, and takes every one for a race.
set -euo pipefail
cd "$(dirname "$0")/.."
lib=$(sed -n 's/^LIBTORCH_LIB := //p' .libtorch/config.mk)
include=$(dirname "$lib")/include
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sources=(matrix tiles panels cached_attention decoding parallel ctorch)
for source in "${sources[@]}" ../../scripts/kernels; do
  "${CXX:-clang++}" -std=c++20 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined \
    -fno-omit-frame-pointer -I Sources/CTorch -I Sources/CTorch/include -I "$include" \
    -I "$include/torch/csrc/api/include" -c "Sources/CTorch/$source.cpp" -o "$work/$(basename "$source").o"
done
"${CXX:-clang++}" -fsanitize=address,undefined "$work"/*.o -L "$lib" -ltorch_cpu -lc10 -ltorch -Wl,-rpath,"$lib" \
  -o "$work/kernels"
# libtorch's own allocations at its start are nobody's to free.
ASAN_OPTIONS=detect_leaks=0 "$work/kernels"
