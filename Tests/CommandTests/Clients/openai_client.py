"""The stock client of OpenAI's interface against a server of ours. Prints a line for each thing that holds."""

import sys

import openai

base, model = sys.argv[1], sys.argv[2]
client = openai.OpenAI(base_url=base + "/v1", api_key="any", max_retries=0)

models = client.models.list().data
assert [m.id for m in models] == [model], models
assert client.models.retrieve(model).id == model
print("lists models")

whole = client.completions.create(model=model, prompt="the cat", max_tokens=8, seed=3, logprobs=2, echo=True)
choice = whole.choices[0]
assert whole.object == "text_completion" and choice.text.startswith("the cat"), whole
assert choice.finish_reason in ("length", "stop") and whole.usage.prompt_tokens == 7
assert choice.logprobs.token_logprobs[0] is None and len(choice.logprobs.tokens) == len(choice.logprobs.text_offset)
assert "".join(choice.logprobs.tokens[:7]) == "the cat"
print("completes")

several = client.completions.create(model=model, prompt=["the ", "the man"], n=2, best_of=3, max_tokens=4, seed=1)
assert [c.index for c in several.choices] == [0, 1, 2, 3]
print("chooses the best of several")

filled = client.completions.create(model=model, prompt="the ", suffix=" sees", max_tokens=6, seed=2)
assert 0 < len(filled.choices[0].text) <= 6, filled
print("fills in before a suffix")

fields = dict(model=model, prompt="the dog", max_tokens=9, seed=4, extra_body={"ignore_eos": True})
expected = client.completions.create(**fields)
# A reader who is slower than so small a network gets several calls at a time, on a busy machine sometimes all.
for attempt in range(50):
    chunks = list(client.completions.create(**fields, stream=True, stream_options={"include_usage": True}))
    *texts, usage = chunks
    assert all(len(c.choices) == 1 and c.usage is None for c in texts) and texts, texts
    assert usage.choices == [] and usage.usage == expected.usage, usage
    assert "".join(c.choices[0].text for c in texts) == expected.choices[0].text
    assert [c.choices[0].finish_reason for c in texts] == [None] * (len(texts) - 1) + ["length"]
    if len(texts) > 1:
        break
assert len(texts) > 1, texts
print("streams")

for error, fields in [
    (openai.BadRequestError, dict(prompt="the", max_tokens=100000)),
    (openai.BadRequestError, dict(prompt="the", presence_penalty=1.0)),
    (openai.BadRequestError, dict(prompt="the", stream=True, max_tokens=100000)),
    (openai.NotFoundError, dict(prompt="the", model="gpt-4")),
]:
    try:
        client.completions.create(**{"model": model, **fields})
    except error as found:
        assert found.body["message"] and found.body["type"] == "invalid_request_error", found.body
    else:
        raise AssertionError(f"{fields} was answered")
print("gets typed errors")
