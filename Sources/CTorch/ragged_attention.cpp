// Attention of a network with a KV cache as one operation, on the CPU.
#include "boundary.h"
#include "cached_attention.h"
#include "parallel.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>

using namespace ctorch;

namespace {
bool isPlain(const at::Tensor &x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous() &&
         !(at::GradMode::is_enabled() && x.requires_grad());
}
} // namespace

CTStatus ct_ragged_attention(const CTTensor *query, const CTTensor *key, const CTTensor *value,
                             const CTSequenceRows *sequences, int64_t count, const int64_t *visible,
                             const int64_t *lone, CTTensor *const *pages, int64_t pageCount, int64_t block, CTTensor **out) {
  return produce(out, [&] {
    const at::Tensor &q = unwrap(query), &k = unwrap(key), &v = unwrap(value);
    TORCH_CHECK(isPlain(q) && isPlain(k) && isPlain(v), "contiguous float32 on the CPU, without gradients");
    at::Tensor result = at::empty_like(q);
    int64_t heads = k.size(1), width = heads * k.size(2);
    auto rows = [&](const at::Tensor &x) {
      return FloatRows{const_cast<float *>(elements<float>(x)), width};
    };
    CachedPages found(pages, pageCount);
    CachedAttention attention{rows(q),       rows(k), rows(v),           rows(result), heads, width / heads, visible, lone,
                              found.data.data(), found.slots, block, found.isHalf};
    for (int64_t i = 0; i < count; i++) attention.keep(sequences[i]);
    parallelFor(count * heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) attention.attend(sequences[i / heads], i % heads);
    });
    return result;
  });
}
