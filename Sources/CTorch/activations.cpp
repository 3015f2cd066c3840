// Activations that do not depend on a number's place.
//
// libtorch's functions take whole vectors one way and what is left over behind the last of them another, with other last
// bits; each of its threads has such a rest. So here work is cut between vectors, and a rest at the end is filled up.
#include "activations.h"

#include "boundary.h"
#include "lanes.h"
#include "parallel.h"
#include "widest.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/silu.h>

using namespace ctorch;

namespace {
constexpr int64_t bytesAtOnce = 128;       // libtorch takes two vectors at a time, of 64 bytes at most
constexpr int64_t smallestShare = 1 << 14; // numbers; libtorch does fewer on one thread

// apply(out, in) computes a piece.
template <typename Apply> at::Tensor byVectors(const at::Tensor &x, Apply apply) {
  at::NoGradGuard guard;
  at::Tensor in = x.contiguous(), out = at::empty_like(in);
  at::Tensor inRow = in.view({-1}), outRow = out.view({-1});
  int64_t unit = bytesAtOnce / x.element_size(), units = in.numel() / unit, rest = in.numel() % unit;
  int64_t threads = at::get_num_threads(), share = std::max(smallestShare / unit, (units + threads - 1) / threads);
  parallelFor(units, share, [&](int64_t begin, int64_t end) {
    at::NoGradGuard guard;
    at::Tensor piece = outRow.narrow(0, begin * unit, (end - begin) * unit);
    apply(piece, inRow.narrow(0, begin * unit, (end - begin) * unit));
  });
  if (rest > 0) {
    at::Tensor filled = at::constant_pad_nd(inRow.narrow(0, units * unit, rest), {0, unit - rest});
    at::Tensor result = at::empty_like(filled);
    apply(result, filled);
    outRow.narrow(0, units * unit, rest).copy_(result.narrow(0, 0, rest));
  }
  return out;
}

// Whether libtorch's own function would leave numbers over. Where our threads are not libtorch's, they could not share the
// work.
bool needsCuts(const at::Tensor &x) {
  if (!x.is_cpu() || !x.is_floating_point() || !sharesThreads()) return false;
  if (at::GradMode::is_enabled() && x.requires_grad()) return false;
  bool isShared = at::get_num_threads() > 1 && x.numel() > smallestShare;
  return isShared || !x.is_contiguous() || x.nbytes() % bytesAtOnce != 0;
}

// x · σ with σ = (1 + tanh z)/2, whose slope is σ + x · σ(1 − σ) · 2z'; see `gelu` of lanes.
INLINED void activate(float *out, float *gradient, const float *x, int64_t begin, int64_t end) {
  forLanes(end - begin, [&](int64_t i, auto some) INLINED_BODY {
    Lanes v = load(x + begin + i, some), square = v * v;
    Lanes twice = v * (1.59576912f + 0.0713548163f * square);
    Lanes e = exponential(twice < 0 ? twice : -twice), share = 1.0f / (e + 1.0f);
    Lanes chance = twice < 0 ? e * share : share;
    store(v * chance, out + begin + i, some);
    if (!gradient) return;
    Lanes slope = chance + v * (e * share * share) * (1.59576912f + 0.214064449f * square);
    store(load(gradient + begin + i, some) * slope, gradient + begin + i, some);
  });
}
WIDEST void activateSome(float *out, const float *x, int64_t begin, int64_t end) {
  activate(out, nullptr, x, begin, end);
}
WIDEST void activateSome(float *out, float *gradient, const float *x, int64_t begin, int64_t end) {
  activate(out, gradient, x, begin, end);
}
} // namespace

at::Tensor ctorch::fastGelu(const at::Tensor &x) {
  at::Tensor out = at::empty_like(x);
  parallelFor(x.numel(), smallestShare, [to = out.data_ptr<float>(), from = elements<float>(x)](auto begin, auto end) {
    activateSome(to, from, begin, end);
  });
  return out;
}

at::Tensor ctorch::fastGeluBackward(at::Tensor &gradient, const at::Tensor &x) {
  at::Tensor out = at::empty_like(x);
  parallelFor(x.numel(), smallestShare,
              [to = out.data_ptr<float>(), slope = gradient.data_ptr<float>(), from = elements<float>(x)](
                  auto begin, auto end) { activateSome(to, slope, from, begin, end); });
  return out;
}

at::Tensor ctorch::gelu(const at::Tensor &x) {
  if (!needsCuts(x)) return at::gelu(x, "tanh");
  return byVectors(x, [](at::Tensor &out, const at::Tensor &in) { at::gelu_out(out, in, "tanh"); });
}

at::Tensor ctorch::silu(const at::Tensor &x) {
  if (!needsCuts(x)) return at::silu(x);
  return byVectors(x, [](at::Tensor &out, const at::Tensor &in) { at::silu_out(out, in); });
}

CTStatus ct_silu(const CTTensor *a, CTTensor **out) {
  return produce(out, [&] { return ctorch::silu(unwrap(a)); });
}

CTStatus ct_gelu_tanh(const CTTensor *a, CTTensor **out) {
  return produce(out, [&] { return ctorch::gelu(unwrap(a)); });
}
