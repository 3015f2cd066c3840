#!/usr/bin/env bash
# Builds the documentation of the package's public modules into .build/docs, with the toolchain's docc alone.
# Symbol graphs are taken from modules that are built already, so nothing is compiled for it. Warnings are errors, and so
# is a public declaration without a comment.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly build=.build/release graphs=.build/docs-symbols out=.build/docs
readonly modules="EsoLM Torch Randomness Files Prompts Tokenizers Corpora Training Runs Revision Settings Checkpoints Reports Evaluation Comparison Parity Serving"

# The toolchain's tools stand beside its compiler; on a Mac xcrun knows where.
tool() {
  if [[ $(uname) == Darwin ]]; then xcrun --find "$1"; return; fi
  local swift
  swift=$(readlink -f "$(command -v swiftc)")
  if [[ -x $(dirname "$swift")/$1 ]]; then echo "$(dirname "$swift")/$1"; else command -v "$1"; fi
}
docc=$(tool docc)
extract=$(tool swift-symbolgraph-extract)

rm -rf "$graphs" "$out"
mkdir -p "$graphs"
target=$(swiftc -print-target-info | sed -n 's/^ *"triple": "\(.*\)",$/\1/p' | head -n 1)
[[ $(uname) != Darwin ]] || set -- -sdk "$(xcrun --show-sdk-path)"
# Where C modules are described, those of packages that Serving and Settings stand on too.
for map in "$build"/*.build/module.modulemap; do set -- "$@" -Xcc "-fmodule-map-file=$map"; done
for map in .build/checkouts/{swift-{atomics,system,numerics,nio},Yams}/Sources/*/include/module.modulemap; do
  set -- "$@" -I "${map%/*}"
done
for module in $modules; do
  "$extract" -module-name "$module" -target "$target" -I "$build/Modules" -I Sources/CZlib -I Sources/CLibcrypto "$@" \
    -minimum-access-level public -skip-synthesized-members -output-dir "$graphs"
done

swift scripts/undocumented.swift "$graphs"
"$docc" convert Documentation.docc --additional-symbol-graph-dir "$graphs" --output-path "$out" \
  --fallback-display-name EsoLM --fallback-bundle-identifier esolm --warnings-as-errors
echo "Wrote $out (docc preview Documentation.docc shows the articles, any web server all of it)"
