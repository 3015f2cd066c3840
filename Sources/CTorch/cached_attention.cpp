#include "cached_attention.h"

#include "boundary.h"
#include "lanes.h"
#include "widest.h"

#include <cmath>
#include <limits>

using namespace ctorch;

namespace {
// MARK: One head
//
// Libraries of matrix products are at their worst here: a few rows of many small matrices. Reading the keys and values
// once is the floor, and this comes close to it.

// Slots whose keys and values lie evenly spaced: those of a page, or the new ones.
struct Stretch {
  const char *key, *value;
  int64_t stride; // bytes
  int64_t count;
  bool isHalf;
};

// No container: in functions that are compiled for several processors, clang loses those of the standard library.
struct Stretches {
  const Stretch *first;
  int64_t count;
};

// Rows are asked for this many bytes ahead: the processor itself looks ahead within 4 KB only. Measured at batch 16,
// L = 1024, model small: a call's attention takes 12.5 ms instead of 15, 2 KB being as good as 4 and better than 1.
constexpr int64_t ahead = 2048;

template <typename Number> INLINED Lanes streamed(const char *row, int64_t place) {
  const char *start = row + place * sizeof(Number);
  __builtin_prefetch(start + ahead);
  return load(reinterpret_cast<const Number *>(start));
}

// Asks for the beginning of the next stretch, which the processor cannot foresee.
INLINED void prefetch(const char *start) {
  for (int64_t place = 0; place < ahead; place += 64) __builtin_prefetch(start + place);
}

template <int count, int width> struct Queries {
  Lanes rows[count][width];
};

template <typename Number, int count, int width>
INLINED void multiply(const Queries<count, width> &q, const char *key, Lanes (&products)[count]) {
  UNROLLED for (int w = 0; w < width; w++) {
    Lanes k = streamed<Number>(key, w * lanes);
    UNROLLED for (int r = 0; r < count; r++) products[r] = w == 0 ? q.rows[r][0] * k : products[r] + q.rows[r][w] * k;
  }
}

// The scores of the first `end` slots of a stretch.
template <typename Number, int count, int width>
INLINED void score(const Queries<count, width> &q, const Stretch &stretch, int64_t end, float *scores, int64_t stride) {
  int64_t i = 0;
  for (; i + 4 <= end; i += 4) {
    Lanes slots[4][count], four[4];
    UNROLLED for (int64_t n = 0; n < 4; n++) multiply<Number>(q, stretch.key + (i + n) * stretch.stride, slots[n]);
    UNROLLED for (int r = 0; r < count; r++) {
      UNROLLED for (int n = 0; n < 4; n++) four[n] = slots[n][r];
      sums<4>(four, scores + r * stride + i, 0);
    }
  }
  for (; i < end; i++) {
    Lanes one[count];
    multiply<Number>(q, stretch.key + i * stretch.stride, one);
    UNROLLED for (int r = 0; r < count; r++) scores[r * stride + i] = sum(one[r]);
  }
}

// Adds the values of the first `end` slots of a stretch, weighted.
template <typename Number, int count, int width>
INLINED void add(Queries<count, width> &mean, const Stretch &stretch, int64_t end, const float *masses,
                 int64_t stride) {
  for (int64_t i = 0; i < end; i++)
    UNROLLED for (int w = 0; w < width; w++) {
      Lanes v = streamed<Number>(stretch.value + i * stretch.stride, w * lanes);
      UNROLLED for (int r = 0; r < count; r++) mean.rows[r][w] += v * masses[r * stride + i];
    }
}

// Turns the scores of the visible slots into numbers in proportion to their probabilities, the others, up to `stride`, to
// 0, and gives the sum.
INLINED float exponentiate(float *scores, int64_t visible, int64_t stride) {
  std::fill(scores + visible, scores + stride, -std::numeric_limits<float>::infinity());
  Lanes highest = load(scores), masses = {};
  for (int64_t i = lanes; i < stride; i += lanes) {
    Lanes x = load(scores + i);
    highest = x > highest ? x : highest;
  }
  float most = largest(highest);
  for (int64_t i = 0; i < stride; i += lanes) {
    Lanes mass = exponential(load(scores + i) - most);
    masses += mass;
    store(mass, scores + i);
  }
  return sum(masses);
}

// What rows see: the first visible[row] slots, and one among the new ones besides, unless lone[row] is −1.
struct Sight {
  const int64_t *visible, *lone;
  INLINED Sight from(int64_t row) const { return {visible + row, lone ? lone + row : nullptr}; }
  INLINED bool hasLone(int64_t row) const { return lone && lone[row] >= 0; }
  // How many scores a row has.
  INLINED int64_t count(int64_t row) const { return visible[row] + hasLone(row); }
};

// `count` rows, of a head of `width` times 16 numbers, look at slots of the stretches, whose last one holds the new ones.
// `scores` has room for count · (one more than the most slots that they see from the first on, rounded up to 16).
//
// Every row is computed alike, whichever others are computed with it. The score of a lone slot stands behind those of the
// first ones, wherever the slot is.
template <int count, int width>
INLINED void attend(FloatRows query, Stretches stretches, FloatRows out, Sight sight, float scale, float *scores) {
  const int64_t *visible = sight.visible;
  int64_t slots = *std::max_element(visible, visible + count), stride = (slots + lanes) / lanes * lanes;
  const Stretch &last = stretches.first[stretches.count - 1];
  int64_t firstNew = 0;
  for (int64_t s = 0; s + 1 < stretches.count; s++) firstNew += stretches.first[s].count;
  Queries<count, width> q, mean = {};
  UNROLLED for (int r = 0; r < count; r++)
    UNROLLED for (int w = 0; w < width; w++) q.rows[r][w] = load(query.first + r * query.stride + w * lanes) * scale;
  for (int64_t s = 0, slot = 0; s < stretches.count; s++) {
    const Stretch &stretch = stretches.first[s];
    if (s + 1 < stretches.count) prefetch((&stretch)[1].key);
    int64_t end = std::min(stretch.count, slots - slot);
    stretch.isHalf ? score<BFloat16>(q, stretch, end, scores + slot, stride)
                   : score<float>(q, stretch, end, scores + slot, stride);
    slot += std::max<int64_t>(0, end);
  }
#define NEW(kind, r) reinterpret_cast<const float *>(last.kind + (sight.lone[r] - firstNew) * last.stride)
  UNROLLED for (int r = 0; r < count; r++) if (sight.hasLone(r)) {
    Lanes product = q.rows[r][0] * load(NEW(key, r));
    UNROLLED for (int w = 1; w < width; w++) product += q.rows[r][w] * load(NEW(key, r) + w * lanes);
    scores[r * stride + visible[r]] = sum(product);
  }

  float total[count];
  for (int r = 0; r < count; r++) total[r] = exponentiate(scores + r * stride, sight.count(r), stride);

  UNROLLED for (int r = 0; r < count; r++) if (sight.hasLone(r)) {
    float &mass = scores[r * stride + visible[r]];
    UNROLLED for (int w = 0; w < width; w++) mean.rows[r][w] = load(NEW(value, r) + w * lanes) * mass;
    mass = 0;
  }
#undef NEW

  for (int64_t s = 0, slot = 0; s < stretches.count; s++) {
    const Stretch &stretch = stretches.first[s];
    if (s + 1 < stretches.count) prefetch((&stretch)[1].value);
    int64_t end = std::min(stretch.count, slots - slot);
    stretch.isHalf ? add<BFloat16>(mean, stretch, end, scores + slot, stride)
                   : add<float>(mean, stretch, end, scores + slot, stride);
    slot += std::max<int64_t>(0, end);
  }
  UNROLLED for (int r = 0; r < count; r++)
    UNROLLED for (int w = 0; w < width; w++)
      store(mean.rows[r][w] * (1 / total[r]), out.first + r * out.stride + w * lanes);
}

template <int width>
INLINED void attendAll(int64_t rows, FloatRows query, Stretches stretches, FloatRows out, Sight sight, float scale,
                       float *scores) {
  int64_t r = 0;
#define FROM(rows, r) FloatRows{rows.first + (r) * rows.stride, rows.stride}
  for (; r + 4 <= rows; r += 4)
    attend<4, width>(FROM(query, r), stretches, FROM(out, r), sight.from(r), scale, scores);
  for (; r + 2 <= rows; r += 2)
    attend<2, width>(FROM(query, r), stretches, FROM(out, r), sight.from(r), scale, scores);
  for (; r < rows; r++) attend<1, width>(FROM(query, r), stretches, FROM(out, r), sight.from(r), scale, scores);
}

// One row of a head of any multiple of 16, whose keys and values, in float32, are one stretch.
INLINED void attendWide(int64_t size, const float *query, const Stretch &slots, float *out, Sight sight, float scale,
                        float *scores) {
  int64_t count = sight.count(0), stride = (count + lanes - 1) / lanes * lanes;
  auto slot = [&](int64_t i) INLINED_BODY { return (i < sight.visible[0] ? i : sight.lone[0]) * slots.stride; };
  for (int64_t i = 0; i < count; i++) {
    auto key = reinterpret_cast<const float *>(slots.key + slot(i));
    Lanes product = {};
    for (int64_t place = 0; place < size; place += lanes) product += load(query + place) * scale * load(key + place);
    scores[i] = sum(product);
  }
  float total = exponentiate(scores, count, stride);
  for (int64_t place = 0; place < size; place += lanes) {
    Lanes mean = {};
    for (int64_t i = 0; i < count; i++)
      mean += load(reinterpret_cast<const float *>(slots.value + slot(i)) + place) * scores[i];
    store(mean * (1 / total), out + place);
  }
}

WIDEST void attendHead(int64_t rows, int64_t size, FloatRows query, Stretches stretches, FloatRows out, Sight sight,
                       float scale, float *scores) {
  switch (size) {
  case 16: return attendAll<1>(rows, query, stretches, out, sight, scale, scores);
  case 32: return attendAll<2>(rows, query, stretches, out, sight, scale, scores);
  case 64: return attendAll<4>(rows, query, stretches, out, sight, scale, scores);
  case 128: return attendAll<8>(rows, query, stretches, out, sight, scale, scores);
  default:
    for (int64_t r = 0; r < rows; r++)
      attendWide(size, query.first + r * query.stride, stretches.first[0], out.first + r * out.stride, sight.from(r),
                 scale, scores);
  }
}

// Whether `attendHead` reads stretches of such heads where they lie.
bool hasOwnForm(int64_t size) { return size == 16 || size == 32 || size == 64 || size == 128; }
} // namespace

// MARK: Sequences

CachedPages::CachedPages(CTTensor *const *pages, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    const at::Tensor &page = unwrap(pages[i]);
    bool half = page.scalar_type() == at::kBFloat16;
    TORCH_CHECK(page.is_cpu() && page.is_contiguous() && page.dim() == 5 && (half || page.scalar_type() == at::kFloat),
                "a page is [blocks, 2, heads, slots, size] in float32 or bfloat16 on the CPU");
    TORCH_CHECK(i == 0 || (half == isHalf && page.size(3) == slots), "pages of one kind");
    isHalf = half;
    slots = page.size(3);
    data.push_back(page.data_ptr());
  }
}

char *CachedAttention::page(const CTSequenceRows &sequence, int64_t number, int64_t kind, int64_t head) const {
  int64_t offset = ((block * 2 + kind) * heads + head) * pageSlots * size;
  return static_cast<char *>(pages[sequence.firstPage + number]) + offset * (isHalf ? 2 : 4);
}

void CachedAttention::keep(const CTSequenceRows &sequence) const {
  for (int64_t row = 0; row < sequence.kept; row++) {
    int64_t slot = sequence.stored + row, place = slot % pageSlots * size;
    for (int64_t kind = 0; kind < 2; kind++) {
      const float *from = (kind == 0 ? key : value)[sequence.firstKey + row];
      for (int64_t head = 0; head < heads; head++) {
        char *to = page(sequence, slot / pageSlots, kind, head);
        if (isHalf)
          std::transform(from + head * size, from + (head + 1) * size, reinterpret_cast<BFloat16 *>(to) + place,
                         [](float x) { return rounded(x); });
        else
          std::memcpy(reinterpret_cast<float *>(to) + place, from + head * size, size * sizeof(float));
      }
    }
  }
}

void CachedAttention::attend(const CTSequenceRows &sequence, int64_t head) const {
  int64_t rows = sequence.queryCount, slots = sequence.stored + sequence.keyCount;
  if (rows == 0) return;
  thread_local std::vector<float> scores;
  thread_local std::vector<Stretch> stretches;
  float scale = 1 / std::sqrt(float(size));
  scores.resize(4 * (slots + 1 + lanes));
  stretches.clear();
  for (int64_t slot = 0, number = 0; slot < sequence.stored; slot += pageSlots, number++)
    stretches.push_back({page(sequence, number, 0, head), page(sequence, number, 1, head), size * (isHalf ? 2 : 4),
                         std::min(pageSlots, sequence.stored - slot), isHalf});
  auto bytes = [&](const FloatRows &rows) {
    return reinterpret_cast<const char *>(rows[sequence.firstKey] + head * size);
  };
  stretches.push_back({bytes(key), bytes(value), key.stride * int64_t(sizeof(float)), sequence.keyCount, false});
  FloatRows from{query[sequence.firstQuery] + head * size, query.stride};
  FloatRows to{out[sequence.firstQuery] + head * size, out.stride};
  Sight seen = Sight{visible, lone}.from(sequence.firstQuery);
  if (hasOwnForm(size))
    return attendHead(rows, size, from, {stretches.data(), int64_t(stretches.size())}, to, seen, scale, scores.data());

  // Other heads are filled up with zeros, in memory of their own.
  thread_local std::vector<float> filled;
  int64_t width = (size + lanes - 1) / lanes * lanes;
  filled.assign((2 * slots + 2 * rows) * width, 0);
  float *keys = filled.data(), *values = keys + slots * width, *queries = values + slots * width;
  FloatRows results{queries + rows * width, width};
  int64_t slot = 0;
  for (const Stretch &stretch : stretches)
    for (int64_t i = 0; i < stretch.count; i++, slot++)
      for (auto [start, to] : {std::pair(stretch.key, keys), std::pair(stretch.value, values)}) {
        const char *row = start + i * stretch.stride;
        for (int64_t place = 0; place < size; place++)
          to[slot * width + place] = stretch.isHalf ? widened(reinterpret_cast<const BFloat16 *>(row)[place])
                                                    : reinterpret_cast<const float *>(row)[place];
      }
  for (int64_t row = 0; row < rows; row++) std::copy_n(from[row], size, queries + row * width);
  Stretch all{reinterpret_cast<char *>(keys), reinterpret_cast<char *>(values), width * int64_t(sizeof(float)), slots,
              false};
  attendHead(rows, width, {queries, width}, {&all, 1}, results, seen, scale, scores.data());
  for (int64_t row = 0; row < rows; row++) std::copy_n(results[row], size, to[row]);
}
