#!/usr/bin/env bash
# Guess:   lm-eval scores a choice by the log-probability of its tokens after the context, as the model reads the text.
# Seen:    the tokens of the choice are those of "context + choice" past the *number* of tokens of the context. If the
#          first letters of the choice merge with the end of the context, they are never scored: "the un" + "happy cat"
#          asks the server for "the un cat", and a choice that merges wholly scores 0, certainty, whatever it is.
# Version: lm-eval 0.4.13, model type local-completions.
# Matters: cloze and multiple-choice tasks whose choices don't begin with a space, and languages without spaces; such a
#          choice wins always, and the accuracy is not the model's.
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
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

bpe = Tokenizer(models.BPE())
bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
bpe.train_from_iterator(["the unhappy cat is un happy"] * 9, trainers.BpeTrainer(
    initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<eos>"], show_progress=False))
bpe.save("tokenizer.json")
json.dump({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<eos>"}, open("tokenizer_config.json", "w"))
asked = []


class Server(http.server.BaseHTTPRequestHandler):
    """Echoes prompts, each token with log-probability −2, and one generated token."""

    def log_message(self, *_):
        pass

    def do_POST(self):
        prompts = json.loads(self.rfile.read(int(self.headers["content-length"])))["prompt"]
        asked.extend(bpe.decode(prompt) for prompt in prompts)
        choices = [{"index": i, "text": "", "logprobs": {
            "token_logprobs": [None] + [-2.0] * len(p), "top_logprobs": [None] + [{"x": -1.0}] * len(p)}}
            for i, p in enumerate(prompts)]
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
scores = {}
for pair in (("the un", " happy"), ("the un", "happy"), ("the un", "happy cat")):
    asked.clear()
    scores[pair] = model.loglikelihood([Instance("loglikelihood", {}, pair, 0)], disable_tqdm=True)[0]
    tokens = " ".join(bpe.encode("".join(pair)).tokens)
    print(f"{pair}, tokens {tokens}: asked {asked}, score {scores[pair]}")
sys.exit(None if scores["the un", "happy"][0] == 0 and asked == ["the un cat"] else "no longer seen")
PYTHON
