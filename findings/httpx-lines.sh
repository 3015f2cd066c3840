#!/usr/bin/env bash
# Guess:   httpx's iter_lines() reads JSON Lines and event streams: lines end with a line feed.
# Seen:    it breaks lines wherever str.splitlines() does, so also at U+2028, U+2029 and U+0085, which JSON allows
#          unescaped in strings and which servers in many languages write so. One valid record comes out as several
#          broken ones.
# Version: httpx 0.28.1.
# Matters: streamed completions and data sets of web text, where U+2028 is not rare; Python's json.dumps escapes it by
#          default, so a Python server in the tests does not show it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile httpx==0.28.1
HOME=$work venv/bin/python -W ignore - <<'PYTHON'
import json, sys
import httpx

record = {"text": "one\u2028two\u0085three"}
line = json.dumps(record, ensure_ascii=False)
assert json.loads(line) == record and "\n" not in line
answer = lambda request: httpx.Response(200, content=f"{line}\n{line}\n".encode())
with httpx.Client(transport=httpx.MockTransport(answer)) as client:
    lines = list(client.get("http://server").iter_lines())
print("lines sent:", [line, line])
print("lines read:", lines)
sys.exit(None if len(lines) == 6 else "no longer seen")
PYTHON
