// The generator that dropout on the CPU draws from, as a tensor: what is computed twice must drop the same.
#pragma once

#include <ATen/core/Tensor.h>

namespace ctorch {
at::Tensor dropoutState();
void setDropoutState(const at::Tensor &state);
} // namespace ctorch
