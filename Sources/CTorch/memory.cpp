// Memory of CPU tensors that are made and dropped at every step of a training, with sizes that differ from step to step.
//
// The C library's heap fragments under them and grows for hours; giving large tensors back to the system costs clearing
// every page anew. So large ones have pages of their own here, which are kept when a tensor is gone: the smallest that is
// large enough serves the next one, unless a quarter of it would be left over. All that is kept and used is at most a
// tenth more than was ever used at a time; before that is exceeded, what was not used for longest goes back to the system.
#include "boundary.h"

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <list>
#include <map>
#include <mutex>
#include <unordered_map>

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
  using Place = std::multimap<size_t, void *>::iterator;

  at::Allocator *const small = c10::GetDefaultCPUAllocator();
  std::mutex mutex;
  std::unordered_map<void *, size_t> used;
  std::multimap<size_t, void *> kept;
  std::list<Place> byAge; // of what is kept, the oldest first
  std::unordered_map<void *, std::list<Place>::iterator> ages;
  size_t usedBytes = 0, keptBytes = 0, mostUsed = 0;

  void *take(Place place) {
    auto [size, address] = *place;
    byAge.erase(ages.at(address));
    ages.erase(address);
    kept.erase(place);
    keptBytes -= size;
    return address;
  }

  void giveBackOldest() {
    Place oldest = byAge.front();
    size_t size = oldest->first;
    munmap(take(oldest), size);
  }

  void *pages(size_t size) {
    while (!byAge.empty() && usedBytes + keptBytes + size > mostUsed + mostUsed / 10) giveBackOldest();
    for (;;) {
      void *address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (address != MAP_FAILED) {
        madvise(address, size, MADV_HUGEPAGE);
        return address;
      }
      // In the words of libtorch's own allocator, by which callers know what happened.
      TORCH_CHECK(!byAge.empty(), "DefaultCPUAllocator: can't allocate memory: you tried to allocate ", size, " bytes.");
      giveBackOldest();
    }
  }

  static KeptMemory &shared() {
    static auto *memory = new KeptMemory; // tensors may outlive all else
    return *memory;
  }

  static void drop(void *address) {
    KeptMemory &own = shared();
    std::unique_lock lock(own.mutex);
    auto found = own.used.find(address);
    if (found == own.used.end()) {
      lock.unlock();
      return own.small->raw_deleter()(address);
    }
    size_t size = found->second;
    own.used.erase(found);
    own.usedBytes -= size;
    own.keptBytes += size;
    own.ages[address] = own.byAge.insert(own.byAge.end(), own.kept.emplace(size, address));
  }

public:
  at::DataPtr allocate(size_t count) override {
    if (count < unit) {
      void *address = small->raw_allocate(count);
      return {address, address, &drop, at::kCPU};
    }
    size_t size = (count + unit - 1) / unit * unit;
    std::lock_guard lock(mutex);
    auto found = kept.lower_bound(size);
    void *address;
    if (found != kept.end() && found->first <= size + size / 4) {
      size = found->first;
      address = take(found);
      mostUsed = std::max(mostUsed, usedBytes + size);
    } else {
      mostUsed = std::max(mostUsed, usedBytes + size);
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
