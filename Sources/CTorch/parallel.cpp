// at::parallel_for is a template that is serial in every file compiled without OpenMP, and SwiftPM has no setting for
// that. So this starts libtorch's own threads as the code of a compiler with OpenMP would: by the function of GCC's
// runtime, which libtorch for Linux comes with. Where there is none, work stays on the calling thread.
#include "parallel.h"

#include <ATen/Parallel.h>

#include <thread>

#ifndef _WIN32
#include <dlfcn.h>
#endif
#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace {
using Start = void (*)(void (*)(void *), void *, unsigned threads, unsigned flags);

Start startOfThreads() {
#ifdef _WIN32
  return nullptr;
#else
  static const auto start = reinterpret_cast<Start>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  return start;
#endif
}
} // namespace

bool ctorch::sharesThreads() { return startOfThreads() != nullptr; }

bool ctorch::runTogether(void (*body)(void *), void *context) {
  int threads = at::get_num_threads();
  if (!sharesThreads() || threads < 2 || at::in_parallel_region()) return false;
  startOfThreads()(body, context, unsigned(threads), 0);
  return true;
}

int64_t ctorch::threadCount() { return at::get_num_threads(); }

// Fewer than were asked for, where the system or a setting of OpenMP's has a limit.
int64_t ctorch::threadsTogether() {
#ifdef _WIN32
  return 1;
#else
  static const auto count = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"));
  return count ? count() : at::get_num_threads();
#endif
}

void ctorch::Team::meet() {
  if (size == 1) {
    next = 0;
    return;
  }
  int64_t own = phase.load();
  if (arrived.fetch_add(1) + 1 == size) {
    arrived = 0;
    next = 0;
    phase.store(own + 1);
    return;
  }
  // Others may need the processor on which a thread that is late should run.
  constexpr int patience = 4096;
  for (int turn = 0; phase.load() == own; turn++) {
    if (turn >= patience) std::this_thread::yield();
#ifdef __x86_64__
    else _mm_pause();
#endif
  }
}
