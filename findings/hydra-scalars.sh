#!/usr/bin/env bash
# Guess:   a value means the same in a configuration file and as an override on the command line.
# Seen:    an integer field takes `010` as 8 from the file and as 10 from the override, both without a word;
#          `12:30` is 750 in the file and a fault as override; `yes`, `.inf` and `-.5` differ as well.
#          The file follows YAML 1.1 (octal, base 60), the override Hydra's own grammar.
# Version: hydra-core 1.3.8, omegaconf 2.3.1.
# Matters: seeds, dates and durations copied from a configuration to a command line or a sweep, and
#          every program that writes or reads such configurations without these two libraries.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile hydra-core==1.3.8 omegaconf==2.3.1
cat > app.py <<'PYTHON'
from dataclasses import dataclass
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore


@dataclass
class Options:
    seed: int = 0
    anything: Any = None


ConfigStore.instance().store(name="options", node=Options)


@hydra.main(version_base=None, config_path=".", config_name="run")
def main(config):
    print(f"seed {config.seed!r}, anything {config.anything!r}")


main()
PYTHON
run() { (venv/bin/python app.py hydra.run.dir=. hydra.output_subdir=null "$@" 2>&1 || true) | sed -n 1p; }
both() { # field, value: prints what each source gives
  printf 'defaults: [options, _self_]\n%s: %s\n' "$1" "$2" > run.yaml
  file=$(run)
  printf 'defaults: [options, _self_]\n' > run.yaml
  override=$(run "$1=$2")
  printf '%-9s %-6s  file: %-36s override: %s\n' "$1" "$2" "$file" "$override"
}
for value in yes 12:30 -.5 .inf; do both anything "$value"; done
both seed 12:30
both seed 010
if [[ $file != "seed 8,"* || $override != "seed 10,"* ]]; then
  echo "no longer seen: 010 is the same in both" >&2
  exit 1
fi
