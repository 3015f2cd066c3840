// Matrix products.
#pragma once

#include <ATen/core/Tensor.h>

namespace ctorch {

// x · weightᵀ + bias for matrices, perhaps with gelu (its tanh form) on it, without autograd: the faster of the two
// libraries that libtorch has for it. The weight may be packed.
at::Tensor product(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias = {}, bool gelu = false);

// The weight in the layout that `product` would bring it into each time, or the weight itself where that has no use.
// Nothing else can read it.
at::Tensor packed(const at::Tensor &weight);

} // namespace ctorch
