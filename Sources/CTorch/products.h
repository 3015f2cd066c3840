// Matrix products.
#pragma once

#include <ATen/core/Tensor.h>

namespace ctorch {

// x · weightᵀ + bias for matrices, perhaps with gelu (its tanh form) on it, without autograd: the faster of the two
// libraries that libtorch has for it.
at::Tensor product(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias = {}, bool gelu = false);

// gᵀ · x for matrices of as many rows, without autograd: the gradient of a weight by which x became what has the
// gradient g.
at::Tensor weightGradient(const at::Tensor &g, const at::Tensor &x);

// Adds it to a sum, which begins undefined: in place where that can be done, since the gradient of an output layer is large.
void addWeightGradient(at::Tensor &sum, const at::Tensor &g, const at::Tensor &x, at::ScalarType type);

// A float32 matrix on the CPU, turned, in memory of its own.
at::Tensor transposed(const at::Tensor &x);

} // namespace ctorch
