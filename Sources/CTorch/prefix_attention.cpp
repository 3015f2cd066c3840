// Attention of rows that each see the first so many keys: what a network with a KV cache computes.
#include "boundary.h"
#include "parallel.h"
#include "widest.h"

#include <ATen/core/grad_mode.h>
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

INLINED float sum(Lanes x) {
  auto eight = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +
               __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
  auto four = __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
  return (four[0] + four[2]) + (four[1] + four[3]);
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

// `count` rows, of a head of `width` times 16 numbers, look at the first visible[row] slots. `scores` has room for
// count · (the most of them, rounded up to 16).
template <int count, int width>
INLINED void attend(Rows query, Rows key, Rows value, Rows out, const int64_t *visible, float *scores) {
  int64_t slots = *std::max_element(visible, visible + count), stride = (slots + lanes - 1) / lanes * lanes;
  float scale = 1 / std::sqrt(float(width * lanes));
  Lanes q[count][width];
  for (int r = 0; r < count; r++)
    for (int w = 0; w < width; w++) q[r][w] = load(query[r] + w * lanes) * scale;
  for (int64_t slot = 0; slot < slots; slot++) {
    Lanes k[width];
    for (int w = 0; w < width; w++) k[w] = load(key[slot] + w * lanes);
    for (int r = 0; r < count; r++) {
      Lanes product = q[r][0] * k[0];
      for (int w = 1; w < width; w++) product += q[r][w] * k[w];
      scores[r * stride + slot] = sum(product);
    }
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
  for (int64_t slot = 0; slot < slots; slot++) {
    Lanes v[width];
    for (int w = 0; w < width; w++) v[w] = load(value[slot] + w * lanes);
    for (int r = 0; r < count; r++)
      for (int w = 0; w < width; w++) mean[r][w] += v[w] * scores[r * stride + slot];
  }
  for (int r = 0; r < count; r++)
    for (int w = 0; w < width; w++) store(mean[r][w] * (1 / total[r]), out[r] + w * lanes);
}

template <int width>
INLINED void attendAll(int64_t rows, Rows query, Rows key, Rows value, Rows out, const int64_t *visible, float *scores) {
  int64_t r = 0;
  auto from = [&](Rows all) { return Rows{all[r], all.stride}; };
  for (; r + 4 <= rows; r += 4) attend<4, width>(from(query), key, value, from(out), visible + r, scores);
  for (; r + 2 <= rows; r += 2) attend<2, width>(from(query), key, value, from(out), visible + r, scores);
  for (; r < rows; r++) attend<1, width>(from(query), key, value, from(out), visible + r, scores);
}

WIDEST void attendHead(int64_t rows, int64_t size, Rows query, Rows key, Rows value, Rows out, const int64_t *visible,
                       float *scores) {
  switch (size) {
  case 32: return attendAll<2>(rows, query, key, value, out, visible, scores);
  case 64: return attendAll<4>(rows, query, key, value, out, visible, scores);
  case 128: return attendAll<8>(rows, query, key, value, out, visible, scores);
  }
}

bool isPlain(const at::Tensor &x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.stride(3) == 1 &&
         !(at::GradMode::is_enabled() && x.requires_grad());
}

bool hasFewRows(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value) {
  int64_t size = query.size(3);
  return query.size(2) <= 16 && (size == 32 || size == 64 || size == 128) && isPlain(query) && isPlain(key) &&
         isPlain(value);
}

at::Tensor attendFewRows(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,
                         const int64_t *visible) {
  int64_t batch = query.size(0), heads = query.size(1), rows = query.size(2), size = query.size(3);
  int64_t slots = *std::max_element(visible, visible + rows);
  at::Tensor out = at::empty({batch, rows, heads, size}, query.options()).transpose(1, 2);
  auto head = [heads](const at::Tensor &x, int64_t number) {
    float *start = const_cast<float *>(x.const_data_ptr<float>());
    return Rows{start + number / heads * x.stride(0) + number % heads * x.stride(1), x.stride(2)};
  };
  // Fewer numbers are read before another thread is awake.
  int64_t grain = std::max<int64_t>(1, (1 << 16) / (slots * size));
  parallelFor(batch * heads, grain, [&](int64_t begin, int64_t end) {
    thread_local std::vector<float> scores;
    scores.resize(4 * (slots + lanes));
    for (int64_t i = begin; i < end; i++)
      attendHead(rows, size, head(query, i), head(key, i), head(value, i), head(out, i), visible, scores.data());
  });
  return out;
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
} // namespace

CTStatus ct_prefix_attention(const CTTensor *query, const CTTensor *key, const CTTensor *value, const int64_t *visible,
                             CTTensor **out) {
  return produce(out, [&] {
    const at::Tensor &q = unwrap(query), &k = unwrap(key), &v = unwrap(value);
    return hasFewRows(q, k, v) ? attendFewRows(q, k, v, visible) : attendInPieces(q, k, v, visible);
  });
}
