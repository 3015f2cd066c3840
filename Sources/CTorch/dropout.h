// The generator that dropout on a device draws from, as a tensor: what is computed twice must drop the same.
#pragma once

#include <ATen/core/Tensor.h>

namespace ctorch {
at::Tensor dropoutState(at::Device device);
void setDropoutState(at::Device device, const at::Tensor &state);
} // namespace ctorch
