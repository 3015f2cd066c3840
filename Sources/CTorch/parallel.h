// Work that is spread over the threads of libtorch's operations.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>

namespace ctorch {

// Whether there are such threads to run on.
bool sharesThreads();

// Runs body(context) on all of these threads at once, the calling one among them, and says whether it could.
bool runTogether(void (*body)(void *), void *context);

// Calls body(begin, end) for ranges that make up 0 ..< count, none longer than `grain`. What a call throws, one of them
// if several do, is thrown once all have ended; ranges that nobody began by then are left out.
template <typename Body> void parallelFor(int64_t count, int64_t grain, const Body &body) {
  struct Work {
    const Body &body;
    int64_t count, grain;
    std::atomic<int64_t> next{0};
    std::atomic<bool> hasFailed{false};
    std::exception_ptr failure;

    static void run(void *context) {
      Work &work = *static_cast<Work *>(context);
      try {
        for (int64_t begin; (begin = work.next.fetch_add(work.grain)) < work.count;)
          work.body(begin, std::min(begin + work.grain, work.count));
      } catch (...) {
        if (!work.hasFailed.exchange(true)) work.failure = std::current_exception();
        work.next = work.count;
      }
    }
  } work{body, count, std::max<int64_t>(grain, 1)};
  if (count <= work.grain || !runTogether(Work::run, &work)) Work::run(&work);
  if (work.failure) std::rethrow_exception(work.failure);
}

} // namespace ctorch
