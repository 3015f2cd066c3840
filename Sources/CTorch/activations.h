// Activations.
#pragma once

#include <ATen/core/Tensor.h>

namespace ctorch {

// libtorch's gelu in its tanh form, and its silu. On the CPU, where no gradient is recorded, a number comes out the same
// bit for bit wherever it stands and however many threads there are.
at::Tensor gelu(const at::Tensor &x);
at::Tensor silu(const at::Tensor &x);

} // namespace ctorch
