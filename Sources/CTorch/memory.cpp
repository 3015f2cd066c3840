// Memory of CPU tensors that are made and dropped at every step of a training, with sizes that differ from step to step.
//
// The C library's heap fragments under them and grows for hours; giving large tensors back to the system costs clearing
// every page anew. So large ones have pages of their own here, which are kept when a tensor is gone. What is kept side by
// side is one piece, of which the next tensors are cut: the smallest piece that is large enough serves, so that a step
// whose batch has a few more rows than the last one's finds its memory all the same. All that is kept and used is at most
// a tenth more than was ever used at a time; before that is exceeded, the smallest pieces go back to the system.
#include "boundary.h"

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

#ifdef __linux__
namespace {
constexpr size_t unit = 64 << 10; // smaller tensors are the C library's

class KeptMemory : public at::Allocator {
  at::Allocator *const small = c10::GetDefaultCPUAllocator();
  std::mutex mutex;
  std::unordered_map<char *, size_t> used;
  std::map<char *, size_t> kept;
  std::set<std::pair<size_t, char *>> keptBySize;
  size_t usedBytes = 0, keptBytes = 0, mostUsed = 0;

  void keep(char *address, size_t size) {
    kept[address] = size;
    keptBySize.emplace(size, address);
    keptBytes += size;
  }

  void take(char *address, size_t size) {
    kept.erase(address);
    keptBySize.erase({size, address});
    keptBytes -= size;
  }

  void giveBackSmallest() {
    auto [size, address] = *keptBySize.begin();
    take(address, size);
    munmap(address, size);
  }

  char *pages(size_t size) {
    while (!kept.empty() && usedBytes + keptBytes + size > mostUsed + mostUsed / 10) giveBackSmallest();
    for (;;) {
      void *address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (address != MAP_FAILED) {
        madvise(address, size, MADV_HUGEPAGE);
        return static_cast<char *>(address);
      }
      // In the words of libtorch's own allocator, by which callers know what happened.
      TORCH_CHECK(!kept.empty(), "DefaultCPUAllocator: can't allocate memory: you tried to allocate ", size, " bytes.");
      giveBackSmallest();
    }
  }

  static KeptMemory &shared() {
    static auto *memory = new KeptMemory; // tensors may outlive all else
    return *memory;
  }

  static void drop(void *tensor) {
    KeptMemory &own = shared();
    std::unique_lock lock(own.mutex);
    auto found = own.used.find(static_cast<char *>(tensor));
    if (found == own.used.end()) {
      lock.unlock();
      return own.small->raw_deleter()(tensor);
    }
    char *address = found->first;
    size_t size = found->second;
    own.used.erase(found);
    own.usedBytes -= size;
    auto next = own.kept.lower_bound(address);
    if (next != own.kept.begin()) {
      auto [before, length] = *std::prev(next);
      if (before + length == address) {
        own.take(before, length);
        address = before;
        size += length;
      }
    }
    if (next != own.kept.end() && next->first == address + size) {
      size_t length = next->second;
      own.take(next->first, length);
      size += length;
    }
    own.keep(address, size);
  }

public:
  at::DataPtr allocate(size_t count) override {
    if (count < unit) {
      void *address = small->raw_allocate(count);
      return {address, address, &drop, at::kCPU};
    }
    size_t size = (count + unit - 1) / unit * unit;
    std::lock_guard lock(mutex);
    mostUsed = std::max(mostUsed, usedBytes + size);
    char *address;
    if (auto found = keptBySize.lower_bound({size, nullptr}); found != keptBySize.end()) {
      auto [length, start] = *found;
      take(start, length);
      if (length > size) keep(start + size, length - size);
      address = start;
    } else {
      address = pages(size);
    }
    used[address] = size;
    usedBytes += size;
    return {address, address, &drop, at::kCPU};
  }

  at::DeleterFnPtr raw_deleter() const override { return &drop; }
  void copy_data(void *to, const void *from, size_t count) const override { default_copy_data(to, from, count); }

  static std::array<size_t, 3> sizes() {
    std::lock_guard lock(shared().mutex);
    return {shared().usedBytes, shared().keptBytes, shared().mostUsed};
  }
  static void install() { c10::SetCPUAllocator(&shared(), /*priority=*/1); }
};
} // namespace
#endif

void ct_kept_memory(int64_t *used, int64_t *kept, int64_t *mostUsed) {
  *used = *kept = *mostUsed = 0;
#ifdef __linux__
  auto [usedBytes, keptBytes, most] = KeptMemory::sizes();
  *used = int64_t(usedBytes);
  *kept = int64_t(keptBytes);
  *mostUsed = int64_t(most);
#endif
}

void ct_keep_memory(void) {
#ifdef __linux__
  static std::once_flag once;
  std::call_once(once, KeptMemory::install);
#endif
#ifndef _WIN32
  // oneDNN and libtorch keep kernels, and memory for them, of the last 1,024 shapes of products each: of sizes that do not come
  // again, hundreds of megabytes. A step has fewer shapes than these. Both are read at the first product.
  setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64", /*overwrite=*/0);
  setenv("LRU_CACHE_CAPACITY", "64", 0);
#endif
#ifdef __GLIBC__
  // What operations need besides tensors comes and goes as well, and is little.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}
