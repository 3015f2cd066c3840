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

// The threads that share one piece of work made of phases: each phase begins when all have ended the one before. Waiting
// for a phase costs less than a microsecond, waking threads for each of them would cost several, or fifty where they sleep.
class Team {
public:
  std::atomic<int64_t> size{1};

  // Calls body(begin, end) for ranges that make up 0 ..< count, none longer than `grain`, on whichever threads are free.
  // All threads of the team call it, with the same count and grain.
  template <typename Body> void each(int64_t count, int64_t grain, const Body &body) {
    try {
      for (int64_t begin; !hasFailed && (begin = next.fetch_add(grain)) < count;)
        body(begin, std::min(begin + grain, count));
    } catch (...) {
      if (!hasFailed.exchange(true)) failure = std::current_exception();
    }
    meet();
  }

  // Throws what a phase threw, once the team has parted.
  void rethrow() {
    if (failure) std::rethrow_exception(failure);
  }

private:
  std::atomic<int64_t> next{0};
  std::atomic<int64_t> arrived{0}, phase{0};
  std::atomic<bool> hasFailed{false};
  std::exception_ptr failure;

  void meet();
};

// How many threads an operation may use, and how many run the calling body of `runTogether`.
int64_t threadCount();
int64_t threadsTogether();

// Calls body(team) on all of these threads, or, where they are not to be had or `alone`, on the calling one.
template <typename Body> void together(bool alone, const Body &body) {
  struct Work {
    const Body &body;
    Team team;
    static void run(void *context) {
      Work &work = *static_cast<Work *>(context);
      work.team.size = threadsTogether();
      work.body(work.team);
    }
  } work{body, {}};
  if (alone || !runTogether(Work::run, &work)) work.body(work.team);
  work.team.rethrow();
}

} // namespace ctorch
