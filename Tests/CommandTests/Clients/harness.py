"""EleutherAI's harness, as its users run it, on a small task file. Prints its figures as JSON."""

import json
import pathlib
import sys

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

base, model, length, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
task = f"""
task: {{name}}
dataset_path: json
dataset_kwargs: {{{{data_files: {{{{validation: {folder}/{{name}}.jsonl}}}}}}}}
validation_split: validation
"""
choice = task.format(name="choice") + """
output_type: multiple_choice
doc_to_text: "{{ctx}}"
doc_to_target: "{{label}}"
doc_to_choice: "{{endings}}"
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
ending = task.format(name="ending") + """
output_type: loglikelihood
doc_to_text: "{{ctx}}"
doc_to_target: "{{ending}}"
metric_list: [{metric: perplexity, aggregation: perplexity, higher_is_better: false}, {metric: acc}]
"""
rolling = task.format(name="rolling") + """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: byte_perplexity}]
"""
writing = task.format(name="writing") + """
output_type: generate_until
doc_to_text: "{{ctx}}"
doc_to_target: "{{ending}}"
generation_kwargs: {until: [".", "!", "?", ";", ":"], max_gen_toks: 8, do_sample: false}
metric_list: [{metric: exact_match}]
"""
path = pathlib.Path(folder)
# The texts that are to be gone on with are those whose endings are scored.
(path / "writing.jsonl").write_text((path / "ending.jsonl").read_text())
for name, text in [("choice", choice), ("ending", ending), ("rolling", rolling), ("writing", writing)]:
    (path / f"{name}.yaml").write_text(text)

result = simple_evaluate(
    model="local-completions",
    model_args=dict(
        model=model, base_url=f"{base}/v1/completions", max_length=length, num_concurrent=2, max_retries=1, batch_size=4
    ),
    tasks=["choice", "ending", "rolling", "writing"],
    task_manager=TaskManager(include_path=folder, include_defaults=False),
    log_samples=True,
    bootstrap_iters=0,
)
written = [doc["resps"][0][0] for doc in result["samples"].pop("writing")]
# Characters are tokens here, and a text ends before a stop.
assert written and all(isinstance(text, str) and len(text) <= 8 and "." not in text for text in written), written
samples = {
    name: [
        [pair[0][0] if isinstance(pair[0], (list, tuple)) else pair[0] for pair in doc["resps"]]
        for doc in sorted(all, key=lambda doc: doc["doc_id"])
    ]
    for name, all in result["samples"].items()
}
figures = {name: {k.split(",")[0]: v for k, v in r.items()} for name, r in result["results"].items()}
print("RESULT " + json.dumps(dict(figures=figures, samples=samples), default=str))
