// Matrix products.
#pragma once

#include <ATen/core/Tensor.h>

namespace ctorch {

// x · weightᵀ + bias for matrices, perhaps with gelu (its tanh form) on it, without autograd: the faster of the two
// libraries that libtorch has for it.
at::Tensor product(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias = {}, bool gelu = false);

} // namespace ctorch
