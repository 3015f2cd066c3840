// Attention of a network with a KV cache: sequences of different length, each with its new rows and its pages.
#include "boundary.h"
#include "parallel.h"
#include "widest.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <cmath>
#include <cstring>
#include <limits>

using namespace ctorch;

#define INLINED __attribute__((always_inline)) inline
#pragma clang diagnostic ignored "-Wpsabi" // no function that takes or gives vectors is ever called

namespace {
// MARK: Few rows
//
// Libraries of matrix products are at their worst here: a few rows of many small matrices. Reading the keys and values
// once is the floor, and this comes close to it.

// Sixteen numbers, which the compiler splits into as many registers as it takes.
using Lanes = float __attribute__((vector_size(64)));
using Bits = int32_t __attribute__((vector_size(64)));
constexpr int64_t lanes = 16;

INLINED Lanes load(const float *x) {
  Lanes result;
  std::memcpy(&result, x, sizeof result);
  return result;
}
INLINED void store(Lanes x, float *to) { std::memcpy(to, &x, sizeof x); }

using Four = float __attribute__((vector_size(16)));
INLINED Four folded(Lanes x) {
  auto eight = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +
               __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
  return __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
}
INLINED float sum(Lanes x) {
  Four four = folded(x);
  return (four[0] + four[2]) + (four[1] + four[3]);
}
// The sums of four, each added up in the same order as alone, in half the steps.
INLINED Four sums(const Lanes *x) {
  Four a = folded(x[0]), b = folded(x[1]), c = folded(x[2]), d = folded(x[3]);
  Four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  Four cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

INLINED float largest(Lanes x) {
  float result = x[0];
  for (int i = 1; i < lanes; i++) result = std::max(result, x[i]);
  return result;
}

// eˣ for x ≤ 0, 0 where that is too small for a normal float: 2ⁿ·eʳ with |r| ≤ ½ log 2 and eʳ by its Taylor polynomial.
// No number stays none.
INLINED Lanes exponential(Lanes x) {
  constexpr float toInteger = 12582912; // 1.5·2²³: adding it rounds, and leaves the integer in the lowest bits
  Lanes bounded = x < -87.0f ? Lanes{} - 87.0f : x;
  Lanes shifted = bounded * 1.44269504f + toInteger, n = shifted - toInteger;
  Lanes r = bounded - n * 0.693145752f - n * 1.42860677e-6f; // log 2 in two parts
  Lanes power = r * (1.0f / 5040) + 1.0f / 720;
  for (float coefficient : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) power = power * r + coefficient;
  Lanes scaled = Lanes(Bits(power) + (Bits(shifted) << 23));
  return x < -87.0f ? Lanes{} : x == x ? scaled : x;
}

// Rows of one head: where they start and how far one is from the next.
struct Rows {
  float *first;
  int64_t stride;
  INLINED float *operator[](int64_t row) const { return first + row * stride; }
};

// Slots whose keys and values lie evenly spaced: those of a page, or the new ones.
struct Stretch {
  Rows key, value;
  int64_t count;
};

// Rows are asked for this many bytes ahead: the processor itself looks ahead within 4 KB only. Measured at batch 16,
// L = 1024, model small: a call's attention takes 12.5 ms instead of 15, 2 KB being as good as 4 and better than 1.
constexpr int64_t ahead = 2048;
INLINED Lanes streamed(const float *x) {
  __builtin_prefetch(reinterpret_cast<const char *>(x) + ahead);
  return load(x);
}

// Asks for the beginning of the next stretch, which the processor cannot foresee.
INLINED void prefetch(const float *start) {
  for (int line = 0; line < 32; line++) __builtin_prefetch(start + line * lanes);
}

// No container: in functions that are compiled for several processors, clang loses those of the standard library.
struct Stretches {
  const Stretch *first;
  int64_t count;
};

// `count` rows, of a head of `width` times 16 numbers, look at the first visible[row] slots of the stretches. `scores`
// has room for count · (the most of them, rounded up to 16).
//
// Every row is computed alike, whichever others are computed with it.
template <int count, int width>
INLINED void attend(Rows query, Stretches stretches, Rows out, const int64_t *visible,
                    float *scores) {
  int64_t slots = *std::max_element(visible, visible + count), stride = (slots + lanes - 1) / lanes * lanes;
  float scale = 1 / std::sqrt(float(width * lanes));
  Lanes q[count][width];
  for (int r = 0; r < count; r++)
    for (int w = 0; w < width; w++) q[r][w] = load(query[r] + w * lanes) * scale;
  int64_t slot = 0;
  for (int64_t s = 0; s < stretches.count; s++) {
    const Stretch &stretch = stretches.first[s];
    if (s + 1 < stretches.count) prefetch((&stretch)[1].key.first);
    int64_t end = std::min(stretch.count, slots - slot);
    auto products = [&](int64_t i, auto &&take) {
      Lanes k[width];
      for (int w = 0; w < width; w++) k[w] = streamed(stretch.key[i] + w * lanes);
      for (int r = 0; r < count; r++) {
        Lanes product = q[r][0] * k[0];
        for (int w = 1; w < width; w++) product += q[r][w] * k[w];
        take(r, product);
      }
    };
    int64_t i = 0;
    for (; i + 4 <= end; i += 4, slot += 4) {
      Lanes four[count][4];
      for (int64_t n = 0; n < 4; n++) products(i + n, [&](int r, Lanes product) { four[r][n] = product; });
      for (int r = 0; r < count; r++) {
        Four score = sums(four[r]);
        std::memcpy(scores + r * stride + slot, &score, sizeof score);
      }
    }
    for (; i < end; i++, slot++)
      products(i, [&](int r, Lanes product) { scores[r * stride + slot] = sum(product); });
  }

  float total[count];
  for (int r = 0; r < count; r++) {
    float *row = scores + r * stride;
    std::fill(row + visible[r], row + stride, -std::numeric_limits<float>::infinity());
    Lanes highest = load(row), masses = {};
    for (int64_t i = lanes; i < stride; i += lanes) {
      Lanes x = load(row + i);
      highest = x > highest ? x : highest;
    }
    float most = largest(highest);
    for (int64_t i = 0; i < stride; i += lanes) {
      Lanes mass = exponential(load(row + i) - most);
      masses += mass;
      store(mass, row + i);
    }
    total[r] = sum(masses);
  }

  Lanes mean[count][width] = {};
  slot = 0;
  for (int64_t s = 0; s < stretches.count; s++) {
    const Stretch &stretch = stretches.first[s];
    if (s + 1 < stretches.count) prefetch((&stretch)[1].value.first);
    int64_t end = std::min(stretch.count, slots - slot);
    for (int64_t i = 0; i < end; i++, slot++) {
      Lanes v[width];
      for (int w = 0; w < width; w++) v[w] = streamed(stretch.value[i] + w * lanes);
      for (int r = 0; r < count; r++)
        for (int w = 0; w < width; w++) mean[r][w] += v[w] * scores[r * stride + slot];
    }
  }
  for (int r = 0; r < count; r++)
    for (int w = 0; w < width; w++) store(mean[r][w] * (1 / total[r]), out[r] + w * lanes);
}

template <int width>
INLINED void attendAll(int64_t rows, Rows query, Stretches stretches, Rows out,
                       const int64_t *visible, float *scores) {
  int64_t r = 0;
  auto from = [&](Rows all) { return Rows{all[r], all.stride}; };
  for (; r + 4 <= rows; r += 4) attend<4, width>(from(query), stretches, from(out), visible + r, scores);
  for (; r + 2 <= rows; r += 2) attend<2, width>(from(query), stretches, from(out), visible + r, scores);
  for (; r < rows; r++) attend<1, width>(from(query), stretches, from(out), visible + r, scores);
}

WIDEST void attendHead(int64_t rows, int64_t size, Rows query, Stretches stretches, Rows out,
                       const int64_t *visible, float *scores) {
  switch (size) {
  case 32: return attendAll<2>(rows, query, stretches, out, visible, scores);
  case 64: return attendAll<4>(rows, query, stretches, out, visible, scores);
  case 128: return attendAll<8>(rows, query, stretches, out, visible, scores);
  }
}

// MARK: Sequences

// The rows of a call, all sequences' one after another.
struct Call {
  at::Tensor query, key, value; // [rows, heads, size]
  const CTSequenceRows *sequences;
  const int64_t *visible; // of each row of the query
  CTTensor *const *pages; // each [blocks, 2, heads, slots, size]
  int64_t block;

  int64_t heads() const { return key.size(1); }
  int64_t size() const { return key.size(2); }
  bool stores(const CTSequenceRows &sequence) const { return sequence.stored + sequence.kept > 0; }
  at::Tensor page(const CTSequenceRows &sequence, int64_t number) const {
    return unwrap(pages[sequence.firstPage + number]);
  }
  int64_t pageSlots(const CTSequenceRows &sequence) const { return page(sequence, 0).size(3); }
};

// Copies the new rows that a sequence keeps into its pages.
void keep(const Call &call, const CTSequenceRows &sequence) {
  if (sequence.kept == 0) return;
  int64_t slots = call.pageSlots(sequence);
  for (int64_t row = 0; row < sequence.kept;) {
    int64_t slot = sequence.stored + row, place = slot % slots, count = std::min(slots - place, sequence.kept - row);
    at::Tensor page = call.page(sequence, slot / slots).select(0, call.block).narrow(2, place, count);
    int64_t start = sequence.firstKey + row;
    page.select(0, 0).copy_(call.key.narrow(0, start, count).transpose(0, 1));
    page.select(0, 1).copy_(call.value.narrow(0, start, count).transpose(0, 1));
    row += count;
  }
}

bool isPlain(const at::Tensor &x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous() &&
         !(at::GradMode::is_enabled() && x.requires_grad());
}

constexpr int64_t few = 16;

bool hasFastForm(const Call &call) {
  int64_t size = call.size();
  return (size == 32 || size == 64 || size == 128) && isPlain(call.query) && isPlain(call.key) && isPlain(call.value);
}

// The same as `keep`, without a call of libtorch for each page.
void keepFast(const Call &call, const CTSequenceRows &sequence) {
  int64_t heads = call.heads(), size = call.size(), slots = sequence.kept ? call.pageSlots(sequence) : 1;
  const at::Tensor *sources[] = {&call.key, &call.value};
  for (int64_t row = 0; row < sequence.kept; row++) {
    int64_t slot = sequence.stored + row;
    float *page = call.page(sequence, slot / slots).mutable_data_ptr<float>();
    for (int64_t kind = 0; kind < 2; kind++) {
      const float *from = sources[kind]->const_data_ptr<float>() + (sequence.firstKey + row) * heads * size;
      for (int64_t head = 0; head < heads; head++)
        std::memcpy(page + (((call.block * 2 + kind) * heads + head) * slots + slot % slots) * size,
                    from + head * size, size * sizeof(float));
    }
  }
}

void attendFewRows(const Call &call, const std::vector<const CTSequenceRows *> &sequences, at::Tensor &out) {
  int64_t heads = call.heads(), size = call.size(), most = 1;
  for (auto *sequence : sequences) most = std::max(most, sequence->stored + sequence->keyCount);
  auto rows = [&](const at::Tensor &x, int64_t first, int64_t head) {
    return Rows{const_cast<float *>(x.const_data_ptr<float>()) + (first * heads + head) * size, heads * size};
  };
  // Fewer numbers are read before another thread is awake.
  int64_t grain = std::max<int64_t>(1, (1 << 16) / (most * size));
  parallelFor(int64_t(sequences.size()) * heads, grain, [&](int64_t begin, int64_t end) {
    thread_local std::vector<float> scores;
    thread_local std::vector<Stretch> stretches;
    scores.resize(4 * (most + lanes));
    for (int64_t i = begin; i < end; i++) {
      const CTSequenceRows &sequence = *sequences[i / heads];
      int64_t head = i % heads;
      stretches.clear();
      for (int64_t slot = 0, page = 0; slot < sequence.stored; page++) {
        const at::Tensor &store = unwrap(call.pages[sequence.firstPage + page]);
        int64_t slots = store.size(3), count = std::min(slots, sequence.stored - slot);
        float *start = const_cast<float *>(store.const_data_ptr<float>());
        auto of = [&](int64_t kind) {
          return Rows{start + ((call.block * 2 + kind) * heads + head) * slots * size, size};
        };
        stretches.push_back({of(0), of(1), count});
        slot += count;
      }
      stretches.push_back({rows(call.key, sequence.firstKey, head), rows(call.value, sequence.firstKey, head),
                           sequence.keyCount});
      attendHead(sequence.queryCount, size, rows(call.query, sequence.firstQuery, head),
                 {stretches.data(), int64_t(stretches.size())}, rows(out, sequence.firstQuery, head), call.visible + sequence.firstQuery, scores.data());
    }
  });
}

// MARK: Any number of rows

// Neighbours that see equally many keys, or each one more than the row before, are one piece.
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

// A sequence's queries, keys and values, [heads, rows or slots, size], each in memory of its own.
struct Gathered {
  const CTSequenceRows *sequence;
  at::Tensor query, key, value, result;
};

Gathered gather(const Call &call, const CTSequenceRows &sequence) {
  auto all = [&](const at::Tensor &x, int64_t kind) {
    std::vector<at::Tensor> parts;
    for (int64_t slot = 0, page = 0; slot < sequence.stored; page++) {
      at::Tensor store = call.page(sequence, page).select(0, call.block).select(0, kind);
      int64_t count = std::min(store.size(1), sequence.stored - slot);
      parts.push_back(store.narrow(1, 0, count));
      slot += count;
    }
    parts.push_back(x.narrow(0, sequence.firstKey, sequence.keyCount).transpose(0, 1));
    return parts.size() == 1 ? parts[0].clone(at::MemoryFormat::Contiguous) : at::cat(parts, 1);
  };
  at::Tensor query = call.query.narrow(0, sequence.firstQuery, sequence.queryCount).transpose(0, 1);
  Gathered gathered{&sequence, query.clone(at::MemoryFormat::Contiguous), all(call.key, 0), all(call.value, 1), {}};
  gathered.result = at::empty_like(gathered.query);
  return gathered;
}

// libtorch's products depend in the last bits on where operands begin, and its attention gives each of its threads a
// place of its own: a sequence would depend on the others of the call. So operands are copied, and each head is computed
// by one thread.
void attendAnyRows(const Call &call, const std::vector<const CTSequenceRows *> &sequences, at::Tensor &out) {
  std::vector<Gathered> all;
  for (auto *sequence : sequences) all.push_back(gather(call, *sequence));
  auto attendHead = [&](int64_t number) {
    int64_t heads = call.heads();
    if (number >= int64_t(all.size()) * heads) return;
    at::NoGradGuard guard;
    Gathered &own = all[number / heads];
    auto head = [&](const at::Tensor &x) { return x.narrow(0, number % heads, 1).unsqueeze(0); };
    at::Tensor attended =
        attendInPieces(head(own.query), head(own.key), head(own.value), call.visible + own.sequence->firstQuery);
    head(own.result).copy_(attended);
  };
  // One more than there are, so that it is work for several threads even where there is one head.
  int64_t count = int64_t(all.size()) * call.heads() + 1;
  if (!call.query.is_cpu())
    for (int64_t i = 0; i < count; i++) attendHead(i);
  else
    parallelFor(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) attendHead(i);
    });
  for (Gathered &own : all)
    out.narrow(0, own.sequence->firstQuery, own.sequence->queryCount).copy_(own.result.transpose(0, 1));
}
} // namespace

CTStatus ct_ragged_attention(const CTTensor *query, const CTTensor *key, const CTTensor *value,
                             const CTSequenceRows *sequences, int64_t count, const int64_t *visible,
                             CTTensor *const *pages, int64_t block, CTTensor **out) {
  return produce(out, [&] {
    Call call{unwrap(query), unwrap(key), unwrap(value), sequences, visible, pages, block};
    at::Tensor result = at::empty_like(call.query);
    bool isFast = hasFastForm(call);
    std::vector<const CTSequenceRows *> shortOnes, longOnes;
    for (int64_t i = 0; i < count; i++) {
      const CTSequenceRows &sequence = sequences[i];
      isFast ? keepFast(call, sequence) : keep(call, sequence);
      if (sequence.queryCount == 0) continue;
      (isFast && sequence.queryCount <= few ? shortOnes : longOnes).push_back(&sequence);
    }
    if (!longOnes.empty()) attendAnyRows(call, longOnes, result);
    if (!shortOnes.empty()) attendFewRows(call, shortOnes, result);
    return result;
  });
}
