#!/usr/bin/env python3
"""Times the authors' network (Eso-LM (B), float32, CPU) on random weights and tokens, to set beside `esolm bench`.

Needs PyTorch with einops, omegaconf and huggingface_hub, and a clone of the authors' repository:

    python3 Benchmarks/reference.py sample CLONE --length 1024 --batch 1 --threads 2
    python3 Benchmarks/reference.py train CLONE --length 512 --batch 4 --threads 2

`sample` writes one token a call, in random order, drawn with top-p 0.9 as their sampler does. `train` takes steps of the
hybrid loss at alpha_0 = 0.25, a half of the batch by diffusion, with their dropout, clipping, AdamW and moving average;
attention is PyTorch's, as flex attention has no backward pass on a CPU. Each prints one line of JSON.
"""
import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
import types

import torch


def network(options, dropout=0.0):
    sys.path.insert(0, options.clone)
    from models import dit

    def attention(q, k, v, mask, dynamic_shape):
        seen = torch.nn.functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask)
        return seen.transpose(1, 2).flatten(2)

    def whole_mask(rule, B, H, Q_LEN, KV_LEN):
        return rule(0, 0, torch.arange(Q_LEN)[:, None], torch.arange(KV_LEN)[None])

    dit.flex_attention_multi_headed = attention
    dit.create_block_mask = whole_mask
    space = types.SimpleNamespace
    config = space(
        algo=space(causal_attention=False, diffusion_attn_mode="causal", sequential_attn_mode="causal"),
        model=space(
            hidden_size=options.hidden_size, cond_dim=128, n_heads=options.heads, n_blocks=options.blocks,
            length=options.length, dropout=dropout, scale_by_sigma=True),
        attn=space(dynamic_shape=False),
        sampling=space(kv_cache=True),
    )
    model = dit.EsoLMDiT(config, options.vocabulary, options.vocabulary - 1)
    # What starts at zero would make all tokens equally likely.
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.uniform_(-0.02, 0.02)
    return model


def draw(logits, top_p, mask):
    logits[..., mask] = -float("inf")
    logits = logits.double()
    ordered, places = logits.sort(descending=True)
    before = ordered.softmax(-1).cumsum(-1).roll(1, -1)
    before[..., 0] = 0
    logits = logits.masked_fill((before > top_p).gather(-1, places.argsort(-1)), -float("inf"))
    return (logits - torch.log(-torch.log(torch.rand_like(logits)))).argmax(-1)


@torch.no_grad()
def sample(options):
    model = network(options).eval()
    batch, length, mask = options.batch, options.length, options.vocabulary - 1
    text = torch.full((batch, length), mask)
    order = torch.rand(batch, length).argsort()
    model.reset_kv_cache()
    model.reset_sorted_rotary_cache()
    start = time.perf_counter()
    for call in range(length):
        logits = model.forward_sample(
            zt=text, sort_idx=order, last_k_start=max(0, call - 1), curr_k_start=call, curr_k_end=call + 1)
        text[:, call : call + 1] = draw(logits, 0.9, mask)
    return {"secondsPerCall": (time.perf_counter() - start) / length}


def loss_of(model, clean, masked, weight, mask, is_sequential):
    """The weighted negative log-likelihood of masks, of each token; masks stand last, in random order or from the left."""
    rank = torch.rand(clean.shape)
    if is_sequential:
        rank = torch.where(masked, torch.linspace(0, 1, clean.shape[1]), rank)
    order = (masked + 0.9 * rank).argsort(-1)
    clean, masked = clean.gather(-1, order), masked.gather(-1, order)
    noisy = torch.where(masked, mask, clean)
    logits = model(noisy, torch.zeros(len(clean)), order, x0=clean if is_sequential else None)
    # Zero-masking and carrying over, as their parameterisation does it: on whole distributions.
    logits[..., mask] += -1e6
    logits = logits - torch.logsumexp(logits, -1, keepdim=True)
    logits = torch.where(masked[..., None], logits, torch.full_like(logits, -1e6).scatter(-1, noisy[..., None], 0))
    return -(weight * masked * logits.gather(-1, clean[..., None])[..., 0]).sum() / clean.numel()


def train(options):
    model = network(options, dropout=0.1).train()
    mask, alpha0 = options.vocabulary - 1, options.alpha0
    spec = importlib.util.spec_from_file_location("ema", os.path.join(options.clone, "models/ema.py"))
    ema = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ema)
    average = ema.ExponentialMovingAverage(model.parameters(), decay=0.9999)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    seconds = []
    for _ in range(options.steps + 1):
        start = time.perf_counter()
        clean = torch.randint(mask, (options.batch, options.length))
        by_diffusion, by_sequence = clean.chunk(2)
        times = ((torch.rand(len(by_diffusion)) + torch.arange(len(by_diffusion))) / len(by_diffusion))[:, None]
        diffusion = loss_of(
            model, by_diffusion, torch.rand(by_diffusion.shape) >= alpha0 * (1 - times), alpha0 / (1 - alpha0 * (1 - times)),
            mask, False)
        sequence = loss_of(model, by_sequence, torch.rand(by_sequence.shape) >= alpha0, 1, mask, True)
        optimizer.zero_grad()
        (diffusion + sequence).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update(model.parameters())
        seconds.append(time.perf_counter() - start)
    # The first step allocates all that the others find.
    step = statistics.median(seconds[1:])
    return {"secondsPerStep": step, "tokensPerSecond": options.batch * options.length / step}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for run, length, batch in ((sample, 1024, 1), (train, 512, 4)):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        command.add_argument("clone", help="the authors' repository")
        command.add_argument("--length", type=int, default=length)
        command.add_argument("--batch", type=int, default=batch)
        command.add_argument("--threads", type=int, default=torch.get_num_threads())
        command.add_argument("--hidden-size", type=int, default=768)
        command.add_argument("--blocks", type=int, default=12)
        command.add_argument("--heads", type=int, default=12)
        command.add_argument("--vocabulary", type=int, default=50258)
    command.add_argument("--alpha0", type=float, default=0.25)
    command.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    shape = {"length": options.length, "batch": options.batch, "threads": options.threads}
    print(json.dumps(options.run(options) | shape))


if __name__ == "__main__":
    main()
