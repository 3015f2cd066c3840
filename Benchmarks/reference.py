#!/usr/bin/env python3
"""Times the authors' cached sampler (Eso-LM (B), float32, CPU) on random weights, to set beside `esolm bench sample`.

Needs PyTorch with einops, omegaconf and huggingface_hub, and a clone of the authors' repository:

    python3 Benchmarks/reference.py CLONE --length 1024 --batch 1 --threads 2

One token a call, in random order, drawn with top-p 0.9 as their sampler does; prints one line of JSON.
"""
import argparse
import json
import sys
import time
import types

import torch

VOCABULARY = 50258
MASK = VOCABULARY - 1


def network(clone, length):
    sys.path.insert(0, clone)
    from models.dit import EsoLMDiT

    space = types.SimpleNamespace
    config = space(
        algo=space(causal_attention=False, diffusion_attn_mode="causal", sequential_attn_mode="causal"),
        model=space(hidden_size=768, cond_dim=128, n_heads=12, n_blocks=12, length=length, dropout=0.0, scale_by_sigma=True),
        attn=space(dynamic_shape=False),
        sampling=space(kv_cache=True),
    )
    model = EsoLMDiT(config, VOCABULARY, MASK).eval()
    # What starts at zero would make all tokens equally likely.
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.uniform_(-0.02, 0.02)
    return model


def draw(logits, top_p):
    logits[..., MASK] = -float("inf")
    logits = logits.double()
    ordered, places = logits.sort(descending=True)
    before = ordered.softmax(-1).cumsum(-1).roll(1, -1)
    before[..., 0] = 0
    logits = logits.masked_fill((before > top_p).gather(-1, places.argsort(-1)), -float("inf"))
    return (logits - torch.log(-torch.log(torch.rand_like(logits)))).argmax(-1)


@torch.no_grad()
def seconds_per_call(model, length, batch):
    text = torch.full((batch, length), MASK)
    order = torch.rand(batch, length).argsort()
    model.reset_kv_cache()
    model.reset_sorted_rotary_cache()
    start = time.perf_counter()
    for call in range(length):
        logits = model.forward_sample(
            zt=text, sort_idx=order, last_k_start=max(0, call - 1), curr_k_start=call, curr_k_end=call + 1)
        text[:, call : call + 1] = draw(logits, 0.9)
    return (time.perf_counter() - start) / length


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", help="the authors' repository")
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    seconds = seconds_per_call(network(options.clone, options.length), options.length, options.batch)
    print(json.dumps({"secondsPerCall": seconds, "length": options.length, "batch": options.batch, "threads": options.threads}))


if __name__ == "__main__":
    main()
