// Sixteen numbers at a time, in the compiler's vectors: it splits them into as many registers as they take. So one source
// serves every processor, and a sum is added up in the same order on all of them.
//
// Functions that take or give vectors must end up inside one that is compiled for the processor at hand, and clang checks
// that at each call: so that one (WIDEST) calls nothing but a function of plain numbers, which does the rest.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#define INLINED __attribute__((always_inline)) inline
// A loop over registers: one that is not unrolled before the compiler allots them keeps them in memory.
#define UNROLLED _Pragma("clang loop unroll(full)")
#pragma clang diagnostic ignored "-Wpsabi" // no function that takes or gives vectors is ever called

namespace ctorch {

using Lanes = float __attribute__((vector_size(64)));
using IntegerLanes = int32_t __attribute__((vector_size(64)));
constexpr int64_t lanes = 16;

// A number of 16 bits that has float's exponent: its upper half.
struct BFloat16 {
  uint16_t bits;
};

INLINED Lanes load(const float *x) {
  Lanes result;
  std::memcpy(&result, x, sizeof result);
  return result;
}
INLINED Lanes load(const BFloat16 *x) {
  uint16_t __attribute__((vector_size(32))) halves;
  std::memcpy(&halves, x, sizeof halves);
  using Words = uint32_t __attribute__((vector_size(64)));
  return Lanes(__builtin_convertvector(halves, Words) << 16);
}
// The first of them, and zeros.
template <typename Number> INLINED Lanes load(const Number *x, int64_t count) {
  Number whole[lanes] = {};
  std::memcpy(whole, x, count * sizeof(Number));
  return load(whole);
}
INLINED void store(Lanes x, float *to) { std::memcpy(to, &x, sizeof x); }
INLINED void store(Lanes x, float *to, int64_t count) { std::memcpy(to, &x, count * sizeof(float)); }

// Calls body(place, count) for vectors that make up 0 ..< count: `Whole`, but for what is left at the end.
struct Whole {};
template <typename Number> INLINED Lanes load(const Number *x, Whole) { return load(x); }
INLINED void store(Lanes x, float *to, Whole) { store(x, to); }
#define INLINED_BODY __attribute__((always_inline))
template <typename Body> INLINED void forLanes(int64_t count, const Body &body) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) body(i, Whole());
  if (i < count) body(i, count - i);
}

// The nearest of the numbers of 16 bits, ties to even; NaN stays NaN.
INLINED BFloat16 rounded(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if ((bits & 0x7fffffff) > 0x7f800000) return {uint16_t(bits >> 16 | 0x40)};
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

INLINED float widened(BFloat16 x) {
  uint32_t bits = uint32_t(x.bits) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

// MARK: Sums, of Lanes or IntegerLanes

template <typename Vector> INLINED auto folded(Vector x) {
  auto eight = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +
               __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
  return __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
}

template <typename Vector> INLINED auto sum(const Vector &x) {
  auto four = folded(x);
  return (four[0] + four[2]) + (four[1] + four[3]);
}

// The sums of several, each added up in the same order as alone, in fewer steps: at every level two vectors of partial sums
// become one. `to` gets four of them at a time, each four `stride` behind the ones before.
template <int count, typename Vector, typename Number> INLINED void sums(const Vector *x, Number *to, int64_t stride) {
  static_assert(count % 4 == 0);
  if constexpr (count > 16) {
    sums<16>(x, to, stride);
    sums<count - 16>(x + 16, to + 4 * stride, stride);
  } else {
    Vector eights[count / 2], fours[count / 4];
    UNROLLED for (int i = 0; i < count / 2; i++) {
      const Vector &a = x[2 * i], &b = x[2 * i + 1];
      eights[i] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
                  __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    }
    UNROLLED for (int i = 0; i < count / 4; i++) {
      const Vector &a = eights[2 * i], &b = eights[2 * i + 1];
      fours[i] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
                 __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    }
    // Each of these is four numbers for each of four vectors, so what is left is done for each alone.
    UNROLLED for (int i = 0; i < count / 4; i++) {
      const Vector &a = fours[i];
      Vector twos = __builtin_shufflevector(a, a, 0, 4, 1, 5, 8, 12, 9, 13, 0, 0, 0, 0, 0, 0, 0, 0) +
                    __builtin_shufflevector(a, a, 2, 6, 3, 7, 10, 14, 11, 15, 0, 0, 0, 0, 0, 0, 0, 0);
      auto four = __builtin_shufflevector(twos, twos, 0, 1, 4, 5) + __builtin_shufflevector(twos, twos, 2, 3, 6, 7);
      std::memcpy(to + i * stride, &four, sizeof four);
    }
  }
}

INLINED float largest(Lanes x) {
  float result = x[0];
  for (int i = 1; i < lanes; i++) result = std::max(result, x[i]);
  return result;
}

// MARK: Functions

// eˣ for x ≤ 0, 0 where that is too small for a normal float: 2ⁿ·eʳ with |r| ≤ ½ log 2 and eʳ by its Taylor polynomial.
// NaN stays NaN.
INLINED Lanes exponential(Lanes x) {
  constexpr float toInteger = 12582912; // 1.5·2²³: adding it rounds, and leaves the integer in the lowest bits
  Lanes bounded = x < -87.0f ? Lanes{} - 87.0f : x;
  Lanes shifted = bounded * 1.44269504f + toInteger, n = shifted - toInteger;
  Lanes r = bounded - n * 0.693145752f - n * 1.42860677e-6f; // log 2 in two parts
  Lanes power = r * (1.0f / 5040) + 1.0f / 720;
  for (float coefficient : {1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) power = power * r + coefficient;
  Lanes scaled = Lanes(IntegerLanes(power) + (IntegerLanes(shifted) << 23));
  return x < -87.0f ? Lanes{} : x == x ? scaled : x;
}

// Gelu in its tanh form: x · σ(2z) with z = √(2/π)·(x + 0.044715x³), since (1 + tanh z)/2 is the logistic function at 2z.
INLINED Lanes gelu(Lanes x) {
  Lanes twice = (x + 0.044715f * x * x * x) * 1.59576912f;
  Lanes e = exponential(twice < 0 ? twice : -twice);
  // Where x is so large that its cube is no number any more, e is 0, as it ought to be.
  return x * ((twice < 0 ? e : Lanes{} + 1.0f) / (e + 1.0f));
}

} // namespace ctorch
