// Sums over GPUs of several processes, by NCCL 2. PyTorch's CUDA builds bring the library along; like CUDA it is looked for
// when it is asked for, and neither its headers nor CUDA's are needed.
#include "boundary.h"

#include <c10/core/Event.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <cstring>
#ifndef _WIN32
#include <dlfcn.h>
#endif

using namespace ctorch;

namespace {
// Of nccl.h; the numbers are those of NCCL 2 since its first version.
struct Identifier {
  char bytes[CT_GPU_GROUP_BYTES];
};
using Communicator = void *;
constexpr int float32 = 7, addition = 0;

struct NCCL {
  int (*identify)(Identifier *);
  int (*join)(Communicator *, int, Identifier, int);
  int (*leave)(Communicator);
  int (*sum)(const void *, void *, size_t, int, int, Communicator, void *);
  const char *(*name)(int);
  const char *(*detail)(Communicator);

  NCCL() {
#ifndef _WIN32
    void *library = dlopen("libnccl.so.2", RTLD_NOW);
    TORCH_CHECK(library, "NCCL is not there (libnccl.so.2), by which GPUs of several processes add up gradients");
    auto find = [&](const char *symbol, auto &function) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, symbol));
      TORCH_CHECK(function, "libnccl.so.2 has no ", symbol);
    };
    find("ncclGetUniqueId", identify);
    find("ncclCommInitRank", join);
    find("ncclCommDestroy", leave);
    find("ncclAllReduce", sum);
    find("ncclGetErrorString", name);
    find("ncclGetLastError", detail);
#else
    TORCH_CHECK(false, "there is no NCCL for Windows");
#endif
  }

  void check(int status) const { TORCH_CHECK(status == 0, "NCCL: ", name(status), ": ", detail(nullptr)); }
};

const NCCL &nccl() {
  static const NCCL library;
  return library;
}
} // namespace

struct CTGPUGroup {
  Communicator communicator = nullptr;
  // Sums have a stream of their own, so that the GPU goes on computing meanwhile.
  c10::Stream stream;

  CTGPUGroup(Identifier identifier, int rank, int count) : stream(gpu().getStreamFromGlobalPool(device(CTCUDA), true)) {
    c10::DeviceGuard guard(device(CTCUDA));
    nccl().check(nccl().join(&communicator, count, identifier, rank));
  }

  static const c10::impl::DeviceGuardImplInterface &gpu() { return *c10::impl::getDeviceGuardImpl(at::kCUDA); }
  static c10::Stream computing() { return gpu().getStream(device(CTCUDA)); }

  // What `last` is told from now on waits for all that `first` was told before.
  static void wait(const c10::Stream &last, const c10::Stream &first) {
    c10::Event event(at::kCUDA);
    event.record(first);
    event.block(last);
  }
};

CTStatus ct_gpu_group_available(void) {
  return guarded([] { nccl(); });
}

CTStatus ct_gpu_group_identify(char *identifier) {
  return guarded([&] {
    Identifier made;
    nccl().check(nccl().identify(&made));
    std::memcpy(identifier, made.bytes, sizeof made.bytes);
  });
}

CTStatus ct_gpu_group_join(const char *identifier, int32_t rank, int32_t count, CTGPUGroup **out) {
  return guarded([&] {
    Identifier given;
    std::memcpy(given.bytes, identifier, sizeof given.bytes);
    *out = new CTGPUGroup(given, rank, count);
  });
}

// NCCL waits there for all processes of a machine: one that fails just ends.
CTStatus ct_gpu_group_leave(CTGPUGroup *group) {
  return guarded([&] {
    c10::DeviceGuard guard(device(CTCUDA));
    nccl().check(nccl().leave(group->communicator));
    delete group;
  });
}

CTStatus ct_gpu_group_begin_sum(CTGPUGroup *group, CTTensor *tensor) {
  return guarded([&] {
    at::Tensor &values = unwrap(tensor);
    TORCH_CHECK(
        values.is_cuda() && values.is_contiguous() && values.scalar_type() == at::kFloat,
        "GPUs add up contiguous float32 tensors of their own");
    c10::DeviceGuard guard(values.device());
    CTGPUGroup::wait(group->stream, CTGPUGroup::computing());
    void *address = values.mutable_data_ptr();
    nccl().check(nccl().sum(
        address, address, values.numel(), float32, addition, group->communicator, group->stream.native_handle()));
  });
}

CTStatus ct_gpu_group_finish_sums(CTGPUGroup *group) {
  return guarded([&] { CTGPUGroup::wait(CTGPUGroup::computing(), group->stream); });
}
