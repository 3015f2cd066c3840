// The output layer and the negative log-likelihood of the targets in one, over chunks of rows, so that no
// [rows, vocabulary] tensor ever exists.
//
//   nll_r = −log softmax(hidden_r · weightᵀ + bias)[target_r]   (excludedClass has no probability)
//   loss  = Σ_r lossWeight_r · nll_r                            (float64)
//
// Where a gradient will be asked for, each chunk adds to it while its logits are at hand; backward only scales the sums.
#include "boundary.h"
#include "products.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <limits>
#include <torch/csrc/autograd/custom_function.h>

using namespace ctorch;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {
constexpr int64_t chunkElements = int64_t(1) << 25;

struct LinearNLL : torch::autograd::Function<LinearNLL> {
  static variable_list forward(AutogradContext *context, at::Tensor hidden, at::Tensor weight, at::Tensor bias,
                               at::Tensor targets, at::Tensor lossWeights, int64_t excludedClass, bool withGradient) {
    int64_t rows = hidden.size(0), classes = weight.size(0);
    int64_t chunk = std::max<int64_t>(1, chunkElements / classes);
    at::Tensor matrix = weight.to(hidden.scalar_type());
    at::Tensor nll = at::empty({rows}, hidden.options().dtype(at::kFloat));
    at::Tensor dHidden, dWeight, dBias;
    if (withGradient) {
      dHidden = at::empty_like(hidden);
      dWeight = at::zeros_like(weight);
      dBias = at::zeros_like(bias);
    }
    for (int64_t start = 0; start < rows; start += chunk) {
      int64_t count = std::min(chunk, rows - start);
      at::Tensor input = hidden.narrow(0, start, count), target = targets.narrow(0, start, count).unsqueeze(1);
      at::Tensor logits = product(input, matrix, bias.to(hidden.scalar_type())).to(at::kFloat);
      if (excludedClass >= 0) logits.select(1, excludedClass).fill_(-std::numeric_limits<float>::infinity());
      at::Tensor logp = logits.log_softmax(1);
      nll.narrow(0, start, count).copy_(logp.gather(1, target).squeeze(1).neg_());
      if (!withGradient) continue;
      at::Tensor scale = lossWeights.narrow(0, start, count).to(at::kFloat).unsqueeze(1);
      at::Tensor dLogits = logp.exp_().mul_(scale).scatter_add_(1, target, -scale);
      dBias.add_(dLogits.sum(0));
      dLogits = dLogits.to(hidden.scalar_type());
      dHidden.narrow(0, start, count).copy_(product(dLogits, matrix.t()));
      dWeight.add_(product(dLogits.t(), input.t()));
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
