// The one place where C++ exceptions end: each C function runs its body in `guarded`.
#pragma once

#include "ctorch.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

namespace ctorch {

void setError(const char *message);

// libtorch has a type of its own for a GPU whose memory is used up, but none for the CPU's.
inline bool isOutOfMemory(const c10::Error &error) {
  return dynamic_cast<const c10::OutOfMemoryError *>(&error) ||
         std::string_view(error.what_without_backtrace()).find("DefaultCPUAllocator") != std::string_view::npos;
}

template <typename Body> CTStatus guarded(Body body) {
  try {
    body();
    return CTOK;
  } catch (const c10::Error &error) {
    setError(error.what_without_backtrace());
    if (isOutOfMemory(error)) return CTOutOfMemory;
  } catch (const std::bad_alloc &error) {
    setError(error.what());
    return CTOutOfMemory;
  } catch (const std::exception &error) {
    setError(error.what());
  } catch (...) {
    setError("unknown C++ exception");
  }
  return CTFailed;
}

inline const at::Tensor &unwrap(const CTTensor *tensor) { return *reinterpret_cast<const at::Tensor *>(tensor); }
inline at::Tensor &unwrap(CTTensor *tensor) { return *reinterpret_cast<at::Tensor *>(tensor); }
inline at::Tensor optional(const CTTensor *tensor) { return tensor ? unwrap(tensor) : at::Tensor(); }
inline CTTensor *wrap(at::Tensor tensor) { return reinterpret_cast<CTTensor *>(new at::Tensor(std::move(tensor))); }

// Runs a body that yields one tensor.
template <typename Body> CTStatus produce(CTTensor **out, Body body) {
  return guarded([&] { *out = wrap(body()); });
}

// The elements of a tensor of this type. `const_data_ptr<T>` of libtorch 2.11 has a name to GCC, which compiles
// the wheels, and another one to newer clangs.
template <typename T> const T *elements(const at::Tensor &tensor) {
  TORCH_CHECK(tensor.scalar_type() == c10::CppTypeToScalarType<T>::value, "a tensor of ", tensor.scalar_type());
  return static_cast<const T *>(tensor.const_data_ptr());
}

inline std::vector<at::Tensor> list(CTTensor *const *tensors, int64_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (int64_t i = 0; i < count; i++) result.push_back(unwrap(tensors[i]));
  return result;
}

at::ScalarType scalarType(CTDType dtype);
at::Device device(CTDevice device);

} // namespace ctorch
