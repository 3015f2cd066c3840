// at::parallel_for is a template that is serial in every file compiled without OpenMP, and SwiftPM has no setting for
// that. So this starts libtorch's own threads as the code of a compiler with OpenMP would: by the function of GCC's
// runtime, which libtorch for Linux comes with. Where there is none, work stays on the calling thread.
#include "parallel.h"

#include <ATen/Parallel.h>

#ifndef _WIN32
#include <dlfcn.h>
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
