// Dropout that draws on all threads, the same numbers for any number of them: libtorch draws one after another.
#include "dropout.h"

#include "boundary.h"
#include "lanes.h"
#include "parallel.h"
#include "widest.h"

#include <ATen/TensorOperators.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

using namespace ctorch;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {
// The CPU's generator of the calling thread, so that trainings on different threads do not draw from each other. It
// gives a key to each dropout, which hashes the places of its elements with it.
thread_local at::Generator generator = at::detail::createCPUGenerator();

// A hash of 32 bits of which each depends on all of the number: shifts, and products with odd numbers.
inline uint32_t mixed(uint32_t x) {
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return x ^ x >> 16;
}

// 0 with a chance of threshold / 2³², else `scale`.
INLINED float factor(int64_t i, uint32_t low, uint32_t high, uint32_t threshold, float scale) {
  return mixed(mixed(uint32_t(i) ^ low) + high + uint32_t(i >> 32)) < threshold ? 0 : scale;
}

// out[i] = factor · x[i].
INLINED float number(float x) { return x; }
INLINED float number(BFloat16 x) { return widened(x); }
INLINED void put(float x, float &to) { to = x; }
INLINED void put(float x, BFloat16 &to) { to = rounded(x); }

template <typename Number>
INLINED void drop(Number *out, const Number *x, int64_t begin, int64_t end, uint64_t key, uint32_t threshold,
                  float scale) {
  uint32_t low = uint32_t(key), high = uint32_t(key >> 32);
  for (int64_t i = begin; i < end; i++) put(number(x[i]) * factor(i, low, high, threshold, scale), out[i]);
}
WIDEST void dropSome(float *out, const float *x, int64_t begin, int64_t end, uint64_t key, uint32_t threshold,
                     float scale) {
  drop(out, x, begin, end, key, threshold, scale);
}
WIDEST void dropSome(BFloat16 *out, const BFloat16 *x, int64_t begin, int64_t end, uint64_t key,
                     uint32_t threshold, float scale) {
  drop(out, x, begin, end, key, threshold, scale);
}

template <typename Number> at::Tensor droppedNumbers(const at::Tensor &x, double probability, uint64_t key) {
  auto threshold = uint32_t(std::ldexp(probability, 32));
  at::Tensor out = at::empty_like(x);
  parallelFor(x.numel(), 1 << 14,
              [&, to = static_cast<Number *>(out.mutable_data_ptr()),
               from = static_cast<const Number *>(x.const_data_ptr())](int64_t begin, int64_t end) {
                dropSome(to, from, begin, end, key, threshold, float(1 / (1 - probability)));
              });
  return out;
}

at::Tensor dropped(const at::Tensor &x, double probability, uint64_t key) {
  return x.scalar_type() == at::kBFloat16
             ? droppedNumbers<BFloat16>(x.contiguous(), probability, key)
             : droppedNumbers<float>(x.to(at::kFloat).contiguous(), probability, key).to(x.scalar_type());
}

// out[i] = x[i] + what dropping leaves of y[i].
WIDEST void addDropped(float *out, const float *x, const float *y, int64_t begin, int64_t end, uint64_t key,
                       uint32_t threshold, float scale) {
  uint32_t low = uint32_t(key), high = uint32_t(key >> 32);
  for (int64_t i = begin; i < end; i++) out[i] = x[i] + y[i] * factor(i, low, high, threshold, scale);
}

bool isPlain(const at::Tensor &x, const at::Tensor &y) {
  return x.is_cpu() && y.is_cpu() && x.scalar_type() == at::kFloat && y.scalar_type() == at::kFloat &&
         x.is_contiguous() && y.is_contiguous() && x.sizes() == y.sizes();
}

struct AddDropped : torch::autograd::Function<AddDropped> {
  static at::Tensor forward(AutogradContext *context, at::Tensor x, at::Tensor y, double probability, int64_t key) {
    context->saved_data["probability"] = probability;
    context->saved_data["key"] = key;
    at::Tensor out = at::empty_like(x);
    parallelFor(x.numel(), 1 << 14,
                [&, to = out.data_ptr<float>(), from = elements<float>(x), add = elements<float>(y)](
                    int64_t begin, int64_t end) {
                  addDropped(to, from, add, begin, end, uint64_t(key), uint32_t(std::ldexp(probability, 32)),
                             float(1 / (1 - probability)));
                });
    return out;
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    return {gradients[0],
            dropped(gradients[0], context->saved_data["probability"].toDouble(),
                    uint64_t(context->saved_data["key"].toInt())),
            {},
            {}};
  }
};

// What is dropped is found again from the key: nothing is kept for the backward pass.
struct Dropout : torch::autograd::Function<Dropout> {
  static at::Tensor forward(AutogradContext *context, at::Tensor x, double probability, int64_t key) {
    context->saved_data["probability"] = probability;
    context->saved_data["key"] = key;
    return dropped(x, probability, uint64_t(key));
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    return {dropped(gradients[0], context->saved_data["probability"].toDouble(),
                    uint64_t(context->saved_data["key"].toInt())),
            {},
            {}};
  }
};
} // namespace

static at::Generator generatorOf(at::Device device) {
  return device.is_cpu() ? generator : at::globalContext().defaultGenerator(device);
}
at::Tensor ctorch::dropoutState(at::Device device) { return generatorOf(device).get_state(); }
void ctorch::setDropoutState(at::Device device, const at::Tensor &state) { generatorOf(device).set_state(state); }

CTStatus ct_manual_seed(uint64_t seed) {
  return guarded([&] {
    generator.set_current_seed(seed);
    at::manual_seed(seed); // for the generators of other devices
  });
}

namespace {
int64_t nextKey() { return int64_t(generator.get<at::CPUGeneratorImpl>()->random64()); }
} // namespace

CTStatus ct_dropout(const CTTensor *a, double probability, CTTensor **out) {
  return produce(out, [&] {
    const at::Tensor &x = unwrap(a);
    if (!x.is_cpu()) return at::dropout(x, probability, /*train=*/true);
    return Dropout::apply(x, probability, nextKey());
  });
}

CTStatus ct_add_dropped(const CTTensor *a, const CTTensor *b, double probability, CTTensor **out) {
  return produce(out, [&] {
    const at::Tensor &x = unwrap(a), &y = unwrap(b);
    if (!y.is_cpu()) return x.add(at::dropout(y, probability, /*train=*/true));
    int64_t key = nextKey();
    return isPlain(x, y) ? AddDropped::apply(x, y, probability, key) : x.add(Dropout::apply(y, probability, key));
  });
}
