#!/usr/bin/env bash
# Makes a virtual environment with programs of other people that tests talk to: OpenAI's client, EleutherAI's harness and
# what drives a browser, for `esolm serve`; TensorBoard, for what training logs. Where pip cannot have them, that is said and the tests that need
# them are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly packages="openai==3.57.0 lm_eval[api]==0.4.13 playwright==1.65.2 tensorboard==2.21.0"
readonly folder=.build/clients
[[ $(cat "$folder/packages" 2>/dev/null) != "$packages" ]] || exit 0
rm -rf "$folder"
if ! {
  python3 -m venv "$folder" &&
    # shellcheck disable=SC2086
    "$folder/bin/python" -m pip install -q --disable-pip-version-check --no-input $packages
} >/dev/null 2>&1; then
  rm -rf "$folder"
  echo "skipped: pip could not install $packages; tests of the server with them are left out"
  exit 0
fi
echo "$packages" >"$folder/packages"
