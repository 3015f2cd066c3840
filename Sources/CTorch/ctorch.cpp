// The C interface over libtorch's own operations, gradients left to autograd.cpp; the other files hold those that libtorch
// lacks.
#include "boundary.h"
#include "parallel.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Generator.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linalg_eigh.h>
#include <torch/version.h>

#include <atomic>

#ifndef _WIN32
#include <dlfcn.h>
#endif

using namespace ctorch;

namespace {
thread_local std::string lastError;
std::atomic<c10::DeviceIndex> gpu = 0;

CTDType ctype(at::ScalarType type) {
  switch (type) {
  case at::kFloat: return CTFloat32;
  case at::kDouble: return CTFloat64;
  case at::kHalf: return CTFloat16;
  case at::kBFloat16: return CTBFloat16;
  case at::kLong: return CTInt64;
  case at::kInt: return CTInt32;
  case at::kChar: return CTInt8;
  case at::kByte: return CTUInt8;
  default: return CTBool;
  }
}

at::TensorOptions options(CTDType dtype, CTDevice where = CTCPU) {
  return at::TensorOptions().dtype(scalarType(dtype)).device(device(where));
}
} // namespace

namespace ctorch {
void setError(const char *message) {
  try {
    lastError = message;
  } catch (const std::bad_alloc &) {
    lastError.clear();
  }
}

at::ScalarType scalarType(CTDType dtype) {
  switch (dtype) {
  case CTFloat32: return at::kFloat;
  case CTFloat64: return at::kDouble;
  case CTFloat16: return at::kHalf;
  case CTBFloat16: return at::kBFloat16;
  case CTInt64: return at::kLong;
  case CTInt32: return at::kInt;
  case CTInt8: return at::kChar;
  case CTUInt8: return at::kByte;
  case CTBool: return at::kBool;
  }
  TORCH_CHECK(false, "unknown dtype ", int(dtype));
}

at::Device device(CTDevice device) {
  switch (device) {
  case CTCPU: return at::kCPU;
  case CTCUDA: return at::Device(at::kCUDA, gpu);
  case CTMPS: return at::Device(at::kMPS, 0);
  }
  TORCH_CHECK(false, "unknown device ", int(device));
}
} // namespace ctorch

const char *ct_last_error(void) { return lastError.c_str(); }
const char *ct_version(void) { return TORCH_VERSION; }

// MARK: Machine

bool ct_device_available(CTDevice which) {
  if (which == CTCPU) return true;
#if !defined(_WIN32) && !defined(__APPLE__)
  // The program links no CUDA library, so that it runs without one; asking for the device loads them. That comes before
  // libtorch is asked: it looks for them once, and remembers that there were none.
  if (which == CTCUDA) {
    static void *library = dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
    if (!library) return false;
  }
#endif
  try {
    return which == CTCUDA ? at::hasCUDA() && at::detail::getCUDAHooks().deviceCount() > 0 : at::hasMPS();
  } catch (...) {
    return false;
  }
}

int32_t ct_num_threads(void) { return at::get_num_threads(); }
CTStatus ct_set_num_threads(int32_t count) {
  return guarded([&] { at::set_num_threads(count); });
}
bool ct_shares_threads(void) { return sharesThreads(); }
void ct_parallel_for(int64_t count, void (*body)(int64_t, void *), void *context) {
  parallelFor(count, 1, [&](int64_t index, int64_t) { body(index, context); });
}

CTStatus ct_synchronize(CTDevice which) {
  return guarded([&] {
    if (which != CTCPU) at::empty({1}, options(CTFloat32, which)).fill_(0).item<float>();
  });
}

CTStatus ct_choose_gpu(int32_t number) {
  return guarded([&] {
    int32_t count = ct_device_available(CTCUDA) ? at::detail::getCUDAHooks().deviceCount() : 0;
    TORCH_CHECK(number >= 0 && (number < count || count == 1), "there is no GPU ", number, " here: there are ", count);
    gpu = count == 1 ? 0 : number;
  });
}

// MARK: Making tensors and reading them

CTStatus ct_from_bytes(const void *bytes, const int64_t *shape, int64_t rank, CTDType dtype, CTTensor **out) {
  return produce(out, [&] {
    at::Tensor tensor = at::empty(at::IntArrayRef(shape, rank), options(dtype));
    std::memcpy(tensor.mutable_data_ptr(), bytes, tensor.nbytes());
    return tensor;
  });
}

CTStatus ct_borrow_bytes(void *bytes, const int64_t *shape, int64_t rank, CTDType dtype, void (*release)(void *),
                         void *context, CTTensor **out) {
  return produce(out, [&] {
    return at::from_blob(
        bytes, at::IntArrayRef(shape, rank), [release, context](void *) { release(context); }, options(dtype));
  });
}

CTStatus ct_full(const int64_t *shape, int64_t rank, double value, CTDType dtype, CTDevice where, CTTensor **out) {
  return produce(out, [&] { return at::full(at::IntArrayRef(shape, rank), value, options(dtype, where)); });
}

CTStatus ct_uniform(const int64_t *shape, int64_t rank, double low, double high, uint64_t seed, CTTensor **out) {
  return produce(out, [&] {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    return at::empty(at::IntArrayRef(shape, rank), options(CTFloat32)).uniform_(low, high, generator);
  });
}

void ct_free(CTTensor *tensor) { delete &unwrap(tensor); }
int64_t ct_rank(const CTTensor *tensor) { return unwrap(tensor).dim(); }
CTStatus ct_size(const CTTensor *tensor, int64_t dim, int64_t *out) {
  return guarded([&] { *out = unwrap(tensor).size(dim); });
}
CTDType ct_dtype(const CTTensor *tensor) { return ctype(unwrap(tensor).scalar_type()); }

CTDevice ct_device(const CTTensor *tensor) {
  auto type = unwrap(tensor).device().type();
  return type == at::kCUDA ? CTCUDA : type == at::kMPS ? CTMPS : CTCPU;
}

CTStatus ct_copy_bytes(const CTTensor *tensor, void *bytes, int64_t byteCount) {
  return guarded([&] {
    at::Tensor host = unwrap(tensor).detach().to(at::kCPU).contiguous();
    TORCH_CHECK(int64_t(host.nbytes()) == byteCount, "the tensor has ", host.nbytes(), " bytes, not ", byteCount);
    std::memcpy(bytes, host.const_data_ptr(), byteCount);
  });
}

CTStatus ct_to_dtype(const CTTensor *tensor, CTDType dtype, CTTensor **out) {
  return produce(out, [&] { return unwrap(tensor).to(scalarType(dtype)); });
}

CTStatus ct_to_device(const CTTensor *tensor, CTDevice where, CTTensor **out) {
  return produce(out, [&] {
    const at::Tensor &source = unwrap(tensor);
    // CUDA has taken what it needs of ordinary memory when it returns, and need not wait for what it is doing.
    return source.to(device(where), /*non_blocking=*/where == CTCUDA && source.is_cpu());
  });
}

CTStatus ct_data(const CTTensor *tensor, void **out) {
  return guarded([&] {
    const at::Tensor &t = unwrap(tensor);
    *out = t.device().is_cpu() && t.is_contiguous() ? t.data_ptr() : nullptr;
  });
}

// MARK: Elementwise

CTStatus ct_add(const CTTensor *a, const CTTensor *b, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).add(unwrap(b)); });
}

CTStatus ct_sub(const CTTensor *a, const CTTensor *b, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).sub(unwrap(b)); });
}

CTStatus ct_mul(const CTTensor *a, const CTTensor *b, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).mul(unwrap(b)); });
}

CTStatus ct_div(const CTTensor *a, const CTTensor *b, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).div(unwrap(b)); });
}

CTStatus ct_add_scalar(const CTTensor *a, double b, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).add(b); });
}

CTStatus ct_mul_scalar(const CTTensor *a, double b, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).mul(b); });
}

CTStatus ct_exp(const CTTensor *a, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).exp(); });
}

// MARK: Reductions

CTStatus ct_sum(const CTTensor *a, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).sum(); });
}

CTStatus ct_sum_dim(const CTTensor *a, int64_t dim, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).sum(dim); });
}

CTStatus ct_max_abs(const CTTensor *a, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).abs().max(); });
}

CTStatus ct_softmax(const CTTensor *a, int64_t dim, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).softmax(dim); });
}

CTStatus ct_log_softmax(const CTTensor *a, int64_t dim, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).log_softmax(dim); });
}

// MARK: Shape and indexing

CTStatus ct_reshape(const CTTensor *a, const int64_t *shape, int64_t rank, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).reshape(at::IntArrayRef(shape, rank)); });
}

CTStatus ct_transpose(const CTTensor *a, int64_t dim0, int64_t dim1, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).transpose(dim0, dim1); });
}

CTStatus ct_narrow(const CTTensor *a, int64_t dim, int64_t start, int64_t length, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).narrow(dim, start, length); });
}

CTStatus ct_cat(CTTensor *const *tensors, int64_t count, int64_t dim, CTTensor **out) {
  return produce(out, [&] { return at::cat(list(tensors, count), dim); });
}

CTStatus ct_index_select(const CTTensor *a, int64_t dim, const CTTensor *index, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).index_select(dim, unwrap(index)); });
}

CTStatus ct_gather(const CTTensor *a, int64_t dim, const CTTensor *index, CTTensor **out) {
  return produce(out, [&] { return unwrap(a).gather(dim, unwrap(index)); });
}

CTStatus ct_embedding(const CTTensor *weight, const CTTensor *index, CTTensor **out) {
  return produce(out, [&] { return at::embedding(unwrap(weight), unwrap(index)); });
}

CTStatus ct_symmetric_eigen(const CTTensor *a, CTTensor **values, CTTensor **vectors) {
  return guarded([&] {
    auto [eigenvalues, eigenvectors] = at::linalg_eigh(unwrap(a));
    *values = wrap(eigenvalues);
    *vectors = wrap(eigenvectors);
  });
}

// MARK: In place

CTStatus ct_copy_into(CTTensor *destination, const CTTensor *source) {
  return guarded([&] { unwrap(destination).copy_(unwrap(source)); });
}

CTStatus ct_fill(CTTensor *tensor, double value) {
  return guarded([&] { unwrap(tensor).fill_(value); });
}

// MARK: Layers

CTStatus ct_layer_norm(const CTTensor *input, const CTTensor *weight, const CTTensor *bias, double epsilon,
                       CTTensor **out) {
  return produce(out, [&] {
    const at::Tensor &x = unwrap(input);
    return at::layer_norm(x, {x.size(-1)}, unwrap(weight), optional(bias), epsilon);
  });
}
