// Attention of a network with a KV cache as one operation: on the CPU by `CachedAttention`, elsewhere by libtorch's.
#include "boundary.h"
#include "cached_attention.h"
#include "parallel.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>

using namespace ctorch;

namespace {
// Rows [batch, heads, rows, size] that each see the first visible[row] of [batch, heads, slots, size]. Neighbours that see
// equally many, or each one more than the row before, are one piece.
at::Tensor attendInPieces(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,
                          const int64_t *visible) {
  int64_t rows = query.size(2);
  std::vector<at::Tensor> pieces;
  for (int64_t start = 0, end; start < rows; start = end) {
    end = start + 1;
    int64_t step = end < rows ? visible[end] - visible[start] : 0;
    if (step == 0 || step == 1)
      while (end < rows && visible[end] - visible[end - 1] == step) end++;
    int64_t slots = visible[end - 1];
    bool grows = step == 1, isCausal = grows && slots == end - start;
    std::optional<at::Tensor> mask;
    if (grows && !isCausal)
      mask = at::ones({end - start, slots}, query.options().dtype(at::kBool)).tril(slots - (end - start));
    pieces.push_back(at::scaled_dot_product_attention(query.narrow(2, start, end - start), key.narrow(2, 0, slots),
                                                      value.narrow(2, 0, slots), mask, /*dropout_p=*/0, isCausal));
  }
  return pieces.size() == 1 ? pieces[0] : at::cat(pieces, 2);
}

// The rows of a call, all sequences' one after another.
struct Call {
  at::Tensor query, key, value; // [rows, heads, size]
  const int64_t *visible;       // of each row of the query
  CTTensor *const *pages;       // each [blocks, 2, heads, slots, size]
  int64_t block;

  at::Tensor page(const CTSequenceRows &sequence, int64_t number) const {
    return unwrap(pages[sequence.firstPage + number]).select(0, block);
  }
};

// Copies the new rows that a sequence keeps into its pages.
void keep(const Call &call, const CTSequenceRows &sequence) {
  for (int64_t row = 0; row < sequence.kept;) {
    int64_t slots = call.page(sequence, 0).size(2), slot = sequence.stored + row, place = slot % slots;
    int64_t count = std::min(slots - place, sequence.kept - row), start = sequence.firstKey + row;
    at::Tensor page = call.page(sequence, slot / slots).narrow(2, place, count);
    page.select(0, 0).copy_(call.key.narrow(0, start, count).transpose(0, 1));
    page.select(0, 1).copy_(call.value.narrow(0, start, count).transpose(0, 1));
    row += count;
  }
}

at::Tensor attend(const Call &call, const CTSequenceRows &sequence) {
  auto all = [&](const at::Tensor &x, int64_t kind) {
    std::vector<at::Tensor> parts;
    for (int64_t slot = 0, page = 0; slot < sequence.stored; page++) {
      at::Tensor store = call.page(sequence, page).select(0, kind);
      int64_t count = std::min(store.size(1), sequence.stored - slot);
      parts.push_back(store.narrow(1, 0, count).to(x.scalar_type()));
      slot += count;
    }
    parts.push_back(x.narrow(0, sequence.firstKey, sequence.keyCount).transpose(0, 1));
    return at::cat(parts, 1).unsqueeze(0);
  };
  at::Tensor query = call.query.narrow(0, sequence.firstQuery, sequence.queryCount).transpose(0, 1).unsqueeze(0);
  return attendInPieces(query, all(call.key, 0), all(call.value, 1), call.visible + sequence.firstQuery)
      .squeeze(0)
      .transpose(0, 1);
}

bool isPlain(const at::Tensor &x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous() &&
         !(at::GradMode::is_enabled() && x.requires_grad());
}
} // namespace

CTStatus ct_ragged_attention(const CTTensor *query, const CTTensor *key, const CTTensor *value,
                             const CTSequenceRows *sequences, int64_t count, const int64_t *visible,
                             CTTensor *const *pages, int64_t pageCount, int64_t block, bool fused, CTTensor **out) {
  return produce(out, [&] {
    Call call{unwrap(query), unwrap(key), unwrap(value), visible, pages, block};
    at::Tensor result = at::empty_like(call.query);
    if (!fused || !isPlain(call.query) || !isPlain(call.key) || !isPlain(call.value)) {
      for (int64_t i = 0; i < count; i++) {
        const CTSequenceRows &sequence = sequences[i];
        keep(call, sequence);
        if (sequence.queryCount > 0)
          result.narrow(0, sequence.firstQuery, sequence.queryCount).copy_(attend(call, sequence));
      }
      return result;
    }
    int64_t heads = call.key.size(1), width = heads * call.key.size(2);
    auto rows = [&](const at::Tensor &x) {
      return FloatRows{const_cast<float *>(x.const_data_ptr<float>()), width};
    };
    CachedPages found(pages, pageCount);
    CachedAttention attention{rows(call.query), rows(call.key), rows(call.value), rows(result), heads, width / heads,
                              visible, found.data.data(), found.slots, block, found.isHalf};
    for (int64_t i = 0; i < count; i++) attention.keep(sequences[i]);
    parallelFor(count * heads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) attention.attend(sequences[i / heads], i % heads);
    });
    return result;
  });
}
