"""What stock TensorBoard shows of a folder, as JSON: scalars from its server, as the default view asks for them; texts
from its reader of event files."""

import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = sys.argv[1]
server = subprocess.Popen(
    [sys.executable, "-m", "tensorboard.main", "--logdir", folder, "--port", "0", "--host", "127.0.0.1",
     "--reload_interval", "1"],
    stderr=subprocess.PIPE, text=True)
try:
    address = None
    for line in server.stderr:
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            address = found.group(0)
            break
    if address is None:
        raise SystemExit("tensorboard said no address")

    def get(path, **query):
        with urllib.request.urlopen(f"{address}/data/{path}?{urllib.parse.urlencode(query)}") as answer:
            return json.load(answer)

    tags = {}
    for _ in range(100):
        tags = get("plugin/scalars/tags")
        if tags and any(tags.values()):
            time.sleep(2)
            tags = get("plugin/scalars/tags")
            break
        time.sleep(0.2)
    run = next(iter(tags), ".")
    scalars = {
        tag: [[step, value] for _, step, value in get("plugin/scalars/scalars", run=run, tag=tag)]
        for tag in tags.get(run, {})
    }
finally:
    server.kill()  # a signal that tests, whose threads block others, cannot keep from it
    server.wait()

events = EventAccumulator(folder, size_guidance={"tensors": 0})
events.Reload()
texts = {
    tag: [[event.step, event.tensor_proto.string_val[0].decode()] for event in events.Tensors(tag)]
    for tag in events.Tags()["tensors"]
}
print("RESULT " + json.dumps({"scalars": scalars, "texts": texts}))
