// A part of a network whose results are computed anew in the backward pass, so that nothing between its inputs and its
// output is kept meanwhile (Chen et al., "Training deep nets with sublinear memory cost", 2016).
#include "boundary.h"
#include "dropout.h"

#include <ATen/autocast_mode.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

using namespace ctorch;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {
struct Body : torch::CustomClassHolder {
  CTRecomputedBody compute;
  void (*forget)(void *);
  void *context;

  Body(CTRecomputedBody compute, void (*forget)(void *), void *context)
      : compute(compute), forget(forget), context(context) {}
  ~Body() override { forget(context); }

  at::Tensor operator()(at::TensorList inputs) const {
    std::vector<CTTensor *> handles;
    for (const at::Tensor &input : inputs) handles.push_back(wrap(input));
    CTTensor *result = compute(handles.data(), context); // which owns the handles from now on
    at::Tensor output = unwrap(result);
    ct_free(result);
    return output;
  }
};

struct Recomputed : torch::autograd::Function<Recomputed> {
  static at::Tensor forward(AutogradContext *context, at::TensorList inputs, c10::intrusive_ptr<Body> body) {
    auto device = inputs[0].device().type();
    context->saved_data["body"] = c10::IValue::make_capsule(body);
    context->saved_data["isAutocast"] = at::autocast::is_autocast_enabled(device);
    context->saved_data["dropout"] = dropoutState(inputs[0].device());
    context->save_for_backward(variable_list(inputs.begin(), inputs.end()));
    return (*body)(inputs);
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    variable_list inputs;
    for (const at::Tensor &saved : context->get_saved_variables())
      inputs.push_back(saved.detach().set_requires_grad(saved.requires_grad()));
    auto body = c10::static_intrusive_pointer_cast<Body>(context->saved_data["body"].toCapsule());
    auto device = inputs[0].device().type();
    bool wasAutocast = at::autocast::is_autocast_enabled(device);
    at::Device place = inputs[0].device();
    at::Tensor dropoutBefore = dropoutState(place), output;
    {
      at::AutoGradMode recorded(true);
      at::autocast::set_autocast_enabled(device, context->saved_data["isAutocast"].toBool());
      setDropoutState(place, context->saved_data["dropout"].toTensor());
      output = (*body)(inputs);
      setDropoutState(place, dropoutBefore);
      at::autocast::set_autocast_enabled(device, wasAutocast);
      at::autocast::clear_cache();
    }
    variable_list asked;
    for (const at::Tensor &input : inputs)
      if (input.requires_grad()) asked.push_back(input);
    variable_list found =
        torch::autograd::grad({output}, asked, {gradients[0].to(output.scalar_type())}, std::nullopt, false, true);
    variable_list result;
    size_t next = 0;
    for (const at::Tensor &input : inputs) result.push_back(input.requires_grad() ? found[next++] : at::Tensor());
    result.emplace_back(); // of the body
    return result;
  }
};
} // namespace

CTStatus ct_recomputed(CTTensor *const *inputs, int64_t count, CTRecomputedBody body, void (*forget)(void *),
                       void *context, CTTensor **out) {
  return produce(out, [&] {
    auto tensors = list(inputs, count);
    return Recomputed::apply(at::TensorList(tensors), c10::make_intrusive<Body>(body, forget, context));
  });
}
