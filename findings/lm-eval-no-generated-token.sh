#!/usr/bin/env bash
# Guess:   against a completions server, lm-eval takes the log-probabilities of the echoed prompt, as many as the
#          choice has tokens, whatever was generated after it.
# Seen:    the last entry is cut blindly, as the generated token. If nothing was generated (the model ends the text at
#          once, or the server answers an echo without generating), the last token of the choice is cut in its place:
#          a choice of one token scores 0, certainty, and longer ones lose their last token.
# Version: lm-eval 0.4.13, model type local-completions.
# Matters: everybody who writes a completions server: always return exactly one generated token after an echo.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile "lm_eval[api]==0.4.13" transformers==5.24.0 tokenizers==0.23.3
HOME=$work HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error TQDM_DISABLE=1 venv/bin/python -W ignore - <<'PYTHON'
import http.server, json, sys, threading
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI
from tokenizers import Tokenizer, models, pre_tokenizers

words = Tokenizer(models.WordLevel({w: i for i, w in enumerate("<eos> the cat sat on mat".split())}, unk_token="<eos>"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
words.save("tokenizer.json")
json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<eos>"}, open("tokenizer_config.json", "w"))
generated = 1


class Server(http.server.BaseHTTPRequestHandler):
    """Echoes prompts, each token with log-probability −2, and `generated` tokens after them."""

    def log_message(self, *_):
        pass

    def do_POST(self):
        prompts = json.loads(self.rfile.read(int(self.headers["content-length"])))["prompt"]
        choices = [{"index": i, "text": "", "finish_reason": "length" if generated else "stop", "logprobs": {
            "token_logprobs": [None] + [-2.0] * (len(p) - 1 + generated),
            "top_logprobs": [None] + [{"x": -1.0}] * (len(p) - 1 + generated)}} for i, p in enumerate(prompts)]
        body = json.dumps({"choices": choices}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
model = LocalCompletionsAPI(base_url=f"http://127.0.0.1:{server.server_port}/v1/completions", model="m",
                            tokenizer=".", tokenizer_backend="huggingface", max_length=64)
pairs, scores = [("the cat", " sat"), ("the cat", " sat on the mat")], {}
for generated in (1, 0):
    requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
    scores[generated] = [score for score, _ in model.loglikelihood(requests, disable_tqdm=True)]
    print(f"each token scores −2, {generated} generated: " + ", ".join(
        f"{pair[1]!r} {score}" for pair, score in zip(pairs, scores[generated])))
sys.exit(None if scores == {1: [-2, -8], 0: [0, -6]} else "no longer seen")
PYTHON
