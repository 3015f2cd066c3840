// Dropout that draws on all threads, the same numbers for any number of them: libtorch draws one after another.
#include "boundary.h"
#include "parallel.h"
#include "widest.h"

#include <ATen/TensorOperators.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/empty.h>

#include <cmath>

using namespace ctorch;

namespace {
// The CPU's generator of the calling thread, so that trainings on different threads do not draw from each other. It
// gives a key to each dropout, which hashes the places of its elements with it.
thread_local at::Generator generator = at::detail::createCPUGenerator();

// A hash of 32 bits of which each depends on all of the number: shifts, and products with odd numbers.
inline uint32_t mixed(uint32_t x) {
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return x ^ x >> 16;
}

// factor[i] = 0 with a chance of threshold / 2³², else `scale`.
WIDEST void fill(float *factor, int64_t begin, int64_t end, uint64_t key, uint32_t threshold, float scale) {
  uint32_t low = uint32_t(key), high = uint32_t(key >> 32);
  for (int64_t i = begin; i < end; i++)
    factor[i] = mixed(mixed(uint32_t(i) ^ low) + high + uint32_t(i >> 32)) < threshold ? 0 : scale;
}
} // namespace

CTStatus ct_manual_seed(uint64_t seed) {
  return guarded([&] {
    generator.set_current_seed(seed);
    at::manual_seed(seed); // for the generators of other devices
  });
}

CTStatus ct_dropout(const CTTensor *a, double probability, CTTensor **out) {
  return produce(out, [&] {
    const at::Tensor &x = unwrap(a);
    if (!x.is_cpu()) return at::dropout(x, probability, /*train=*/true);
    at::Tensor factors = at::empty(x.sizes(), x.options().dtype(at::kFloat).requires_grad(false));
    uint64_t key = generator.get<at::CPUGeneratorImpl>()->random64();
    auto threshold = uint32_t(std::ldexp(probability, 32));
    parallelFor(x.numel(), 1 << 14, [&, factor = factors.data_ptr<float>()](int64_t begin, int64_t end) {
      fill(factor, begin, end, key, threshold, float(1 / (1 - probability)));
    });
    return x * factors.to(x.scalar_type());
  });
}
