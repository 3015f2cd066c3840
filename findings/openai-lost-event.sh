#!/usr/bin/env bash
# Guess:   the openai client, asked to stream, gives every event that came before the connection was closed in good
#          order, and says so when the answer is no stream at all.
# Seen:    an event counts only once an empty line follows: if the stream ends without one, the last event is dropped
#          without a word. A plain JSON completion in answer to stream=True is an empty stream, also without a word.
# Version: openai 3.57.0.
# Matters: servers and proxies that don't support streaming, or cut the final line end: the text is shorter or empty,
#          the status is 200, and nothing is raised.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile openai==3.57.0
HOME=$work venv/bin/python -W ignore - <<'PYTHON'
import http.server, json, sys, threading
import openai

event = {"id": "x", "object": "text_completion", "created": 1, "model": "m"}
one, two = (json.dumps(event | {"choices": [{"index": 0, "text": text, "finish_reason": None}]}) for text in "ab")
answers = {
    "two events, each with its empty line": f"data: {one}\n\ndata: {two}\n\n",
    "the same without the last empty line": f"data: {one}\n\ndata: {two}\n",
    "one completion as plain JSON": one,
}


class Server(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = answer.encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if answer.startswith("data") else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1", max_retries=0)
texts = []
for name, answer in answers.items():
    stream = client.completions.create(model="m", prompt="p", stream=True)
    texts.append("".join(chunk.choices[0].text for chunk in stream))
    print(f"{name}: text {texts[-1]!r}")
sys.exit(None if texts == ["ab", "a", ""] else "no longer seen")
PYTHON
