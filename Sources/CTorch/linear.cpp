// Linear layers by the faster of the two libraries for products that libtorch has.
//
// libtorch computes float32 products on the CPU with MKL, which uses the widest instructions on Intel's processors only.
// On others oneDNN, which libtorch has for other purposes, is up to twice as fast; a call of it costs some microseconds
// more. On Intel's MKL takes every shape at about one rate, while oneDNN turns its right-hand matrix first where that is
// not one of weights: of a training step of model small, L = 512, gradients of wide weights went at 90 to 140 GFLOP/s
// instead of 240 to 290 (two cores with AVX-512), and the whole step took 1.35 times as long.
#include "products.h"

#include "activations.h"
#include "boundary.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <algorithm>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/custom_function.h>

using namespace ctorch;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {
// From so many multiplications on, what a call of oneDNN costs more is small.
constexpr int64_t largeProduct = 1 << 20;

using Linear = at::Tensor(const at::Tensor &, const at::Tensor &, const std::optional<at::Tensor> &, std::string_view,
                          c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);

// nullopt where libtorch was built without oneDNN, as on Apple's processors, or has the operation in another form: its
// documentation does not promise this one.
template <typename Signature> std::optional<c10::TypedOperatorHandle<Signature>> operation(const char *name) {
  if (!at::globalContext().hasMKLDNN()) return std::nullopt;
  try {
    auto found = c10::Dispatcher::singleton().findSchema({name, ""});
    return found ? std::optional(found->typed<Signature>()) : std::nullopt;
  } catch (const c10::Error &) {
    return std::nullopt;
  }
}
const auto &linearOperation() {
  static const auto found = operation<Linear>("mkldnn::_linear_pointwise");
  return found;
}

bool isIntel() {
#if defined(__x86_64__)
  static const bool found = __builtin_cpu_is("intel");
  return found;
#else
  return false;
#endif
}

bool isPlain(const at::Tensor &x) { return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.dim() == 2; }

bool isLarge(const at::Tensor &x, const at::Tensor &weight) {
  return isPlain(x) && isPlain(weight) && x.size(0) * weight.numel() >= largeProduct;
}
bool suitsOneDNN(const at::Tensor &x, const at::Tensor &weight) {
  return isLarge(x, weight) && !(isIntel() && at::globalContext().hasMKL()) && linearOperation();
}

at::Tensor activated(const at::Tensor &x, bool gelu) { return gelu ? ctorch::gelu(x) : x; }

struct LinearLayer : torch::autograd::Function<LinearLayer> {
  static at::Tensor forward(AutogradContext *context, at::Tensor x, at::Tensor weight, std::optional<at::Tensor> bias) {
    context->save_for_backward({x, weight});
    context->saved_data["bias"] = bias.has_value();
    return product(x, weight, bias.value_or(at::Tensor()));
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &g = gradients[0];
    variable_list result(3);
    if (context->needs_input_grad(0)) result[0] = product(g, weight.t());
    if (context->needs_input_grad(1)) result[1] = weightGradient(g, x);
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) result[2] = g.sum(0);
    return result;
  }
};
// Two layers with gelu between them. What comes after gelu is computed anew in the backward pass: kept, it would be a
// quarter of all that a block keeps.
struct TwoLayers : torch::autograd::Function<TwoLayers> {
  static at::Tensor forward(AutogradContext *context, at::Tensor x, at::Tensor weight, at::Tensor bias, at::Tensor weight2,
                            at::Tensor bias2) {
    at::Tensor inner = product(x, weight, bias);
    context->save_for_backward({x, weight, weight2, inner});
    return product(fastGelu(inner), weight2, bias2);
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &weight2 = saved[2], &inner = saved[3], &g = gradients[0];
    variable_list result(5);
    at::Tensor dInner = product(g, weight2.t());
    result[3] = weightGradient(g, fastGeluBackward(dInner, inner));
    result[4] = g.sum(0);
    result[0] = product(dInner, weight.t());
    result[1] = weightGradient(dInner, x);
    result[2] = dInner.sum(0);
    return result;
  }
};

bool isRecorded(std::initializer_list<at::Tensor> tensors) {
  return at::GradMode::is_enabled() &&
         std::any_of(tensors.begin(), tensors.end(), [](auto &t) { return t.defined() && t.requires_grad(); });
}

// Where libtorch computes in bfloat16, its own layers do that. The header that says so by name doubles the time that this
// file takes to compile.
bool isAutocast() { return !c10::impl::tls_is_dispatch_key_excluded(c10::DispatchKey::AutocastCPU); }
} // namespace

at::Tensor ctorch::product(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias, bool gelu) {
  if (!suitsOneDNN(x, weight)) return activated(at::linear(x, weight, bias), gelu);
  if (x.size(0) == 0) return at::empty({0, bias.defined() ? bias.size(0) : weight.size(0)}, x.options());
  return linearOperation()->call(x, weight, bias.defined() ? std::optional(bias) : std::nullopt, gelu ? "gelu" : "none",
                                 c10::List<std::optional<at::Scalar>>(), gelu ? "tanh" : "");
}

at::Tensor ctorch::weightGradient(const at::Tensor &g, const at::Tensor &x) {
  if (!suitsOneDNN(g.t(), x.t())) return at::mm(g.t(), x);
  // oneDNN wants rows that stand one after another in the matrix on the left. A narrow x, and then the result, are turned
  // sooner than a wide g.
  int64_t rows = g.size(0), in = x.size(1), out = g.size(1);
  return (rows + out) * in < rows * out ? transposed(product(transposed(x), g.t())) : product(transposed(g), x.t());
}

void ctorch::addWeightGradient(at::Tensor &sum, const at::Tensor &g, const at::Tensor &x, at::ScalarType type) {
  if (!sum.defined())
    sum = weightGradient(g, x).to(type);
  else if (g.scalar_type() == type && !suitsOneDNN(g.t(), x.t()))
    sum.addmm_(g.t(), x);
  else
    sum.add_(weightGradient(g, x));
}

CTStatus ct_linear(const CTTensor *input, const CTTensor *weight, const CTTensor *bias, bool gelu, CTTensor **out) {
  return produce(out, [&] {
    const at::Tensor &x = unwrap(input), &w = unwrap(weight);
    at::Tensor b = optional(bias), rows = x.dim() == 2 ? x : x.reshape({-1, x.size(-1)});
    if (isAutocast() || !isLarge(rows, w))
      return activated(at::linear(x, w, b), gelu);
    at::Tensor y = isRecorded({x, w, b})
                       ? activated(LinearLayer::apply(rows, w, b.defined() ? std::optional(b) : std::nullopt), gelu)
                       : product(rows, w, b, gelu);
    auto shape = x.sizes().vec();
    shape.back() = w.size(0);
    return y.reshape(shape);
  });
}

CTStatus ct_two_layers(const CTTensor *input, const CTTensor *weight, const CTTensor *bias, const CTTensor *weight2,
                       const CTTensor *bias2, CTTensor **out) {
  return produce(out, [&] {
    const at::Tensor &x = unwrap(input), &w = unwrap(weight), &w2 = unwrap(weight2), &b = unwrap(bias), &b2 = unwrap(bias2);
    if (isAutocast() || !isLarge(x, w) || !isPlain(w2))
      return at::linear(activated(at::linear(x, w, b), true), w2, b2);
    return isRecorded({x, w, b, w2, b2}) ? TwoLayers::apply(x, w, b, w2, b2)
                                         : product(product(x, w, b, true), w2, b2);
  });
}

bool ct_has_fast_linear(void) {
  bool found = false;
  guarded([&] { found = linearOperation().has_value(); });
  return found;
}
