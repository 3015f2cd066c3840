// Gradients, and the casts of products whose gradients are wanted.
#include "boundary.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <memory>

using namespace ctorch;

bool ct_set_grad_enabled(bool enabled) {
  bool before = at::GradMode::is_enabled();
  at::GradMode::set_enabled(enabled);
  return before;
}

CTStatus ct_set_bfloat16_autocast(CTDevice which, bool enabled, bool *before) {
  return guarded([&] {
    auto type = device(which).type();
    *before = at::autocast::is_autocast_enabled(type);
    at::autocast::set_autocast_dtype(type, at::kBFloat16);
    at::autocast::set_autocast_enabled(type, enabled);
    // Casts of weights are remembered until the outermost region ends, or a later step would use old ones.
    if (!enabled) at::autocast::clear_cache();
  });
}

CTStatus ct_set_requires_grad(CTTensor *tensor, bool required) {
  return guarded([&] { unwrap(tensor).set_requires_grad(required); });
}

CTStatus ct_backward(const CTTensor *loss) {
  return guarded([&] { torch::autograd::backward({unwrap(loss)}, {}); });
}

namespace {
struct Watch : torch::autograd::PostAccumulateGradHook {
  int64_t index;
  void (*complete)(int64_t, void *);
  void *context;
  Watch(int64_t index, void (*complete)(int64_t, void *), void *context)
      : index(index), complete(complete), context(context) {}
  void operator()(const torch::autograd::Variable &) override {
    at::NoGradGuard guard;
    complete(index, context);
  }
};
} // namespace

CTStatus ct_backward_watching(const CTTensor *loss, CTTensor *const *parameters, int64_t count,
                              void (*complete)(int64_t, void *), void *context) {
  return guarded([&] {
    auto watched = list(parameters, count);
    for (int64_t i = 0; i < count; i++)
      torch::autograd::impl::set_post_acc_grad_hooks(watched[i], std::make_unique<Watch>(i, complete, context));
    auto forget = [&] {
      for (auto &tensor : watched) torch::autograd::impl::set_post_acc_grad_hooks(tensor, nullptr);
    };
    try {
      torch::autograd::backward({unwrap(loss)}, {});
    } catch (...) {
      forget();
      throw;
    }
    forget();
  });
}

CTStatus ct_grad(const CTTensor *tensor, CTTensor **out) {
  return guarded([&] {
    const at::Tensor &gradient = unwrap(tensor).grad();
    *out = gradient.defined() ? wrap(gradient) : nullptr;
  });
}

CTStatus ct_clear_grad(CTTensor *tensor) {
  return guarded([&] { unwrap(tensor).mutable_grad() = at::Tensor(); });
}

CTStatus ct_detach(const CTTensor *tensor, CTTensor **out) {
  return produce(out, [&] { return unwrap(tensor).detach(); });
}
