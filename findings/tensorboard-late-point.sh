#!/usr/bin/env bash
# Guess:   TensorBoard shows the points that were written, wherever on the step axis they lie.
# Seen:    with the default (fast) loader a point hides all earlier-written points of its tag with the same or a
#          greater step. One late value at step 150 takes 200, 300 and 400 off the curve. With --load_fast=false
#          the same folder shows all five.
# Version: tensorboard 2.21.0 with its tensorboard-data-server 0.7.2.
# Matters: evaluations of older checkpoints logged into a run, runs resumed from an earlier checkpoint, two processes
#          that write one run; the file holds the points, the curve doesn't.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile tensorboard==2.21.0 tensorboard-data-server==0.7.2
HOME=$work venv/bin/python -W ignore - <<'PYTHON'
import json, os, socket, subprocess, sys, time, urllib.request
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

written = {"late": [100, 200, 300, 400, 150], "resumed": [*range(10), 5, 6]}
for run, steps in written.items():
    writer = EventFileWriter(f"log/{run}")
    for order, step in enumerate(steps):
        value = Summary.Value(tag="loss", simple_value=1.0)
        writer.add_event(Event(wall_time=1e9 + order, step=step, summary=Summary(value=[value])))
    writer.close()


def shown(fast):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = f"{os.path.dirname(sys.executable)}/tensorboard"
    command = [program, "--logdir=log", f"--load_fast={fast}", f"--port={port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(what):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/plugin/scalars/{what}") as answer:
            return json.load(answer)

    try:
        for _ in range(120):
            time.sleep(1)
            try:
                if len(ask("tags")) == len(written):
                    break
            except OSError:
                pass
        time.sleep(5)
        return {run: [int(step) for _, step, _ in ask(f"scalars?run={run}&tag=loss")] for run in written}
    finally:
        process.terminate()
        process.wait()


fast, slow = shown("true"), shown("false")
for run, steps in written.items():
    print(f"{run}: written {steps}\n  shown by default      {fast[run]}\n  --load_fast=false     {slow[run]}")
sys.exit(None if fast["late"] == [100, 150] and slow["late"] == written["late"] else "no longer seen")
PYTHON
