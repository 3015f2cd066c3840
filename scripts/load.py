#!/usr/bin/env python3
"""Load on a server that runs on this machine: many clients with texts of mixed lengths, a third of whom hang up midway.

    scripts/load.py http://127.0.0.1:8080 --clients 64 --seconds 120 --pid PID

Wants aiohttp (`.build/clients/bin/python` has it). Prints one line of JSON: what was answered and how, time to the first
token, tokens a second, and with the server's process id its memory after warm-up and at the end.
"""

import argparse
import asyncio
import json
import random
import time

import aiohttp


def memory(pid):
    """Resident bytes of a process."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


async def client(number, base, end, options, found):
    draw = random.Random(number)
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < end:
            count = draw.choice(options.tokens)
            hangs_up = draw.random() < options.hang_up
            body = {
                "prompt": draw.choice(options.prompts), "max_tokens": count, "stream": True, "ignore_eos": True,
                "alpha0": options.alpha0, "stream_options": {"include_usage": True},
            }
            start, first, said, usage, is_done = time.monotonic(), None, 0, None, False
            try:
                async with session.post(f"{base}/v1/completions", json=body) as reply:
                    if reply.status in (429, 503):
                        found["refused"] += 1
                        assert 1 <= int(reply.headers["Retry-After"]) <= 60
                        await asyncio.sleep(0.5)
                        continue
                    assert reply.status == 200, (reply.status, await reply.text())
                    async for line in reply.content:
                        if not line.startswith(b"data: "):
                            continue
                        first = first or time.monotonic()
                        if line.startswith(b"data: [DONE]"):
                            is_done = True
                            break
                        event = json.loads(line[6:])
                        assert "error" not in event, event
                        usage = event.get("usage") or usage
                        said += 1
                        if hangs_up and said > 2:
                            break
            except Exception as error:
                found["errors"].append(repr(error)[:200])
                continue
            found["first"].append(first - start)
            if is_done:
                found["complete"] += 1
                found["tokens"] += usage["completion_tokens"]
                if usage["completion_tokens"] != count:
                    found["errors"].append(f"{usage} of {count}")
            elif hangs_up:
                found["cut"] += 1
            else:
                found["errors"].append("a stream without end")


async def run(options, clients, seconds, hang_up=None):
    found = dict(errors=[], refused=0, complete=0, cut=0, tokens=0, first=[])
    if hang_up is not None:
        options = argparse.Namespace(**{**vars(options), "hang_up": hang_up})
    start = time.monotonic()
    await asyncio.gather(*(client(n, options.base, start + seconds, options, found) for n in range(clients)))
    found["seconds"] = time.monotonic() - start
    return found


def summary(found):
    first = sorted(found["first"]) or [0]
    return dict(
        complete=found["complete"], cut=found["cut"], refused=found["refused"], errors=len(found["errors"]),
        some_errors=found["errors"][:3], tokens_per_second=round(found["tokens"] / found["seconds"], 1),
        first_token_p50=round(first[len(first) // 2], 3), first_token_p99=round(first[int(len(first) * 0.99)], 3),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--warm-up", type=float, default=15)
    parser.add_argument("--hang-up", type=float, default=1 / 3)
    parser.add_argument("--alpha0", type=float, default=0.5)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--tokens", type=int, nargs="+", default=[4, 16, 32, 48])
    parser.add_argument("--prompts", nargs="+", default=["the cat", "the dog", "a"])
    options = parser.parse_args()
    asyncio.run(run(options, options.clients, options.warm_up))
    before = memory(options.pid) if options.pid else None
    result = summary(asyncio.run(run(options, options.clients, options.seconds)))
    if before:
        result |= dict(memory_before=before, memory_after=memory(options.pid), change=memory(options.pid) / before - 1)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
