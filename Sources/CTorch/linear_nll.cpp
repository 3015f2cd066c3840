// The output layer and the negative log-likelihood of the targets in one, over chunks of rows, so that no
// [rows, vocabulary] tensor ever exists.
//
//   nll_r = −log softmax(hidden_r · weightᵀ + bias)[target_r]   (excludedClass has no probability)
//   loss  = Σ_r lossWeight_r · nll_r                            (float64)
//
// Where a gradient will be asked for, each chunk adds to it while its logits are at hand; backward only scales the sums.
#include "boundary.h"
#include "lanes.h"
#include "parallel.h"
#include "products.h"
#include "widest.h"

#include <ATen/TensorOperators.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/ops/sum.h>
#include <cmath>
#include <limits>
#include <vector>
#include <torch/csrc/autograd/custom_function.h>

using namespace ctorch;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {
constexpr int64_t chunkElements = int64_t(1) << 25;

// The nll of a row of logits, which become the gradient of scale · nll; one number is left out. `room` is for as many numbers.
template <typename Number>
INLINED float toGradient(Number *row, int64_t classes, int64_t target, int64_t excluded, float scale, float *room) {
  constexpr float none = -std::numeric_limits<float>::infinity();
  forLanes(classes, [&](int64_t i, auto some) INLINED_BODY { store(load(row + i, some), room + i, some); });
  if (excluded >= 0) room[excluded] = none;
  float wanted = room[target];
  Lanes most = Lanes{} + none;
  int64_t whole = classes / lanes * lanes;
  for (int64_t i = 0; i < whole; i += lanes) {
    Lanes x = load(room + i);
    most = x > most ? x : most;
  }
  float highest = largest(most);
  for (int64_t i = whole; i < classes; i++) highest = std::max(highest, room[i]);
  Lanes total = {};
  for (int64_t i = 0; i < whole; i += lanes) {
    Lanes e = exponential(load(room + i) - highest);
    store(e, room + i);
    total += e;
  }
  if (whole < classes) {
    // What fills the last vector up has no share in the sum.
    float rest[lanes];
    for (int64_t i = 0; i < lanes; i++) rest[i] = whole + i < classes ? room[whole + i] : none;
    Lanes e = exponential(load(rest) - highest);
    store(e, room + whole, classes - whole);
    total += e;
  }
  float all = sum(total), factor = scale / all;
  for (int64_t i = 0; i < classes; i++) room[i] *= factor;
  room[target] -= scale;
  if constexpr (std::is_same_v<Number, float>) std::memcpy(row, room, classes * sizeof(float));
  else
    for (int64_t i = 0; i < classes; i++) row[i] = rounded(room[i]);
  return highest - wanted + std::log(all);
}

WIDEST float toGradientOf(float *row, int64_t classes, int64_t target, int64_t excluded, float scale, float *room) {
  return toGradient(row, classes, target, excluded, scale, room);
}
WIDEST float toGradientOf(BFloat16 *row, int64_t classes, int64_t target, int64_t excluded, float scale, float *room) {
  return toGradient(row, classes, target, excluded, scale, room);
}

template <typename Number>
void toGradients(const at::Tensor &logits, const at::Tensor &targets, const at::Tensor &scales, int64_t excluded,
                 at::Tensor &&nll) {
  int64_t rows = logits.size(0), classes = logits.size(1);
  auto *row = reinterpret_cast<Number *>(logits.mutable_data_ptr());
  const int64_t *target = targets.const_data_ptr<int64_t>();
  const float *scale = scales.const_data_ptr<float>();
  float *to = nll.data_ptr<float>();
  parallelFor(rows, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> room(classes);
    for (int64_t r = begin; r < end; r++) {
      TORCH_CHECK(target[r] >= 0 && target[r] < classes, "target ", target[r], " of ", classes);
      to[r] = toGradientOf(row + r * classes, classes, target[r], excluded, scale[r], room.data());
    }
  });
}

bool isFused(const at::Tensor &logits) {
  return logits.is_cpu() && logits.is_contiguous() &&
         (logits.scalar_type() == at::kFloat || logits.scalar_type() == at::kBFloat16);
}

struct LinearNLL : torch::autograd::Function<LinearNLL> {
  static variable_list forward(AutogradContext *context, at::Tensor hidden, at::Tensor weight, at::Tensor bias,
                               at::Tensor targets, at::Tensor lossWeights, int64_t excludedClass, bool withGradient) {
    targets = targets.contiguous();
    lossWeights = lossWeights.to(at::kFloat).contiguous();
    int64_t rows = hidden.size(0), classes = weight.size(0);
    int64_t chunk = std::max<int64_t>(1, chunkElements / classes);
    // Norms are float32 also where libtorch computes products in bfloat16.
    auto device = hidden.device().type();
    if (at::autocast::is_autocast_enabled(device)) hidden = hidden.to(at::autocast::get_autocast_dtype(device));
    at::Tensor matrix = weight.to(hidden.scalar_type());
    at::Tensor nll = at::empty({rows}, hidden.options().dtype(at::kFloat));
    at::Tensor dHidden, dWeight, dBias;
    if (withGradient) {
      dHidden = at::empty_like(hidden);
      if (rows == 0) dWeight = at::zeros_like(weight), dBias = at::zeros_like(bias);
    }
    auto addBias = [&](const at::Tensor &part) {
      dBias = dBias.defined() ? dBias.add_(part) : part.to(weight.scalar_type());
    };
    for (int64_t start = 0; start < rows; start += chunk) {
      int64_t count = std::min(chunk, rows - start);
      at::Tensor input = hidden.narrow(0, start, count), target = targets.narrow(0, start, count).unsqueeze(1);
      at::Tensor logits = product(input, matrix, bias.to(hidden.scalar_type()));
      if (withGradient && isFused(logits)) {
        at::Tensor own = targets.narrow(0, start, count), rowWeights = lossWeights.narrow(0, start, count);
        auto run = logits.scalar_type() == at::kFloat ? toGradients<float> : toGradients<BFloat16>;
        run(logits, own, rowWeights, excludedClass, nll.narrow(0, start, count));
        addBias(logits.sum(0, false, at::kFloat));
        dHidden.narrow(0, start, count).copy_(product(logits, matrix.t()));
        addWeightGradient(dWeight, logits, input, weight.scalar_type());
        continue;
      }
      logits = logits.to(at::kFloat);
      if (excludedClass >= 0) logits.select(1, excludedClass).fill_(-std::numeric_limits<float>::infinity());
      at::Tensor logp = logits.log_softmax(1);
      nll.narrow(0, start, count).copy_(logp.gather(1, target).squeeze(1).neg_());
      if (!withGradient) continue;
      at::Tensor scale = lossWeights.narrow(0, start, count).to(at::kFloat).unsqueeze(1);
      at::Tensor dLogits = logp.exp_().mul_(scale).scatter_add_(1, target, -scale);
      addBias(dLogits.sum(0));
      dLogits = dLogits.to(hidden.scalar_type());
      dHidden.narrow(0, start, count).copy_(product(dLogits, matrix.t()));
      addWeightGradient(dWeight, dLogits, input, weight.scalar_type());
    }
    if (withGradient) context->save_for_backward({dHidden, dWeight, dBias});
    context->mark_non_differentiable({nll});
    auto wide = nll.device().is_mps() ? at::kFloat : at::kDouble; // MPS has no float64
    return {(nll.to(wide) * lossWeights.to(wide)).sum(), nll};
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    at::Tensor scale = gradients[0].to(at::kFloat);
    auto scaled = [&](at::Tensor &x) { return x.mul_(scale.to(x.scalar_type())); };
    // As it is when the loss itself is what is differentiated. Elsewhere than on the CPU looking would mean waiting.
    if (scale.is_cpu() && scale.item<float>() == 1) return {saved[0], saved[1], saved[2], {}, {}, {}, {}};
    return {scaled(saved[0]), scaled(saved[1]), scaled(saved[2]), {}, {}, {}, {}};
  }
};
} // namespace

CTStatus ct_linear_nll(const CTTensor *hidden, const CTTensor *weight, const CTTensor *bias, const CTTensor *targets,
                       const CTTensor *lossWeights, int64_t excludedClass, CTTensor **loss, CTTensor **nll) {
  return guarded([&] {
    TORCH_CHECK(!unwrap(lossWeights).requires_grad(), "the weights of a negative log-likelihood have no gradient");
    bool withGradient = at::GradMode::is_enabled() && (unwrap(hidden).requires_grad() ||
                                                       unwrap(weight).requires_grad() || unwrap(bias).requires_grad());
    auto out = LinearNLL::apply(unwrap(hidden), unwrap(weight), unwrap(bias), unwrap(targets), unwrap(lossWeights),
                                excludedClass, withGradient);
    *loss = wrap(out[0]);
    *nll = wrap(out[1]);
  });
}
