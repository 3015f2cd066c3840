#include "tiles.h"

#include "lanes.h"
#include "panels.h"

#include <utility>

#ifdef __x86_64__
#include <immintrin.h>
#endif

using namespace ctorch;

namespace {
using Words = uint32_t __attribute__((vector_size(64)));

template <typename Vector> INLINED Vector vector(const void *from) {
  Vector result;
  std::memcpy(&result, from, sizeof result);
  return result;
}
template <typename Vector, typename Number> INLINED Vector all(Number x) { return Vector{} + x; }

INLINED void askAhead(const char *&ahead, int64_t lines) {
  for (int64_t i = 0; i < lines; i++, ahead += 64) __builtin_prefetch(ahead);
}

// MARK: float32 and bf16

// Each group of a panel meets one of a row's: what `Group` makes of both is added to the sums.
template <int rows, int vectors> struct Float32Group {
  static constexpr int64_t size = 1;
  static INLINED void add(Lanes (&total)[rows][vectors], const float *x, int64_t stride, const char *panel, bool) {
    Lanes w[vectors];
    UNROLLED for (int v = 0; v < vectors; v++) w[v] = vector<Lanes>(panel + 64 * v);
    UNROLLED for (int r = 0; r < rows; r++)
      UNROLLED for (int v = 0; v < vectors; v++) total[r][v] += x[r * stride] * w[v];
  }
};
template <int rows, int vectors> struct BFloat16Group {
  static constexpr int64_t size = 2;
  static INLINED void add(Lanes (&total)[rows][vectors], const float *x, int64_t stride, const char *panel,
                          bool isWhole) {
    Lanes w[vectors];
    UNROLLED for (int v = 0; v < vectors; v++) w[v] = Lanes(vector<Words>(panel + 64 * v) << 16);
    UNROLLED for (int r = 0; r < rows; r++)
      UNROLLED for (int v = 0; v < vectors; v++) total[r][v] += x[r * stride] * w[v];
    if (!isWhole) return;
    UNROLLED for (int v = 0; v < vectors; v++) w[v] = Lanes(vector<Words>(panel + 64 * v) & 0xffff0000u);
    UNROLLED for (int r = 0; r < rows; r++)
      UNROLLED for (int v = 0; v < vectors; v++) total[r][v] += x[r * stride + 1] * w[v];
  }
};

template <int rows, int vectors, template <int, int> typename Group> INLINED void tile(const Tile &t) {
  using Step = Group<rows, vectors>;
  auto x = static_cast<const float *>(t.x);
  auto sums = static_cast<float *>(t.sums);
  const char *panel = t.panel, *ahead = t.ahead;
  Lanes total[rows][vectors] = {};
  if (!t.isFirst)
    UNROLLED for (int r = 0; r < rows; r++)
      UNROLLED for (int v = 0; v < vectors; v++) total[r][v] = load(sums + r * panelOutputs + v * lanes);
  int64_t i = 0;
  for (; i + Step::size <= t.inputs; i += Step::size, panel += t.step) {
    askAhead(ahead, t.linesAhead);
    Step::add(total, x + i, t.xStride, panel, true);
  }
  if (i < t.inputs) Step::add(total, x + i, t.xStride, panel, false);
  UNROLLED for (int r = 0; r < rows; r++)
    UNROLLED for (int v = 0; v < vectors; v++) store(total[r][v], sums + r * panelOutputs + v * lanes);
}

// MARK: int8

template <int rows, int vectors> INLINED void bytesTile(const Tile &t) {
  auto x = static_cast<const uint8_t *>(t.x);
  auto sums = static_cast<int32_t *>(t.sums);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t n = 0; n < vectors * lanes; n++) {
      int32_t total = t.isFirst ? 0 : sums[r * panelOutputs + n];
      for (int64_t i = 0; i < t.inputs; i++)
        total += int32_t(x[r * t.xStride + i]) *
                 int8_t(t.panel[i / groupBytes * t.step + n * groupBytes + i % groupBytes]);
      sums[r * panelOutputs + n] = total;
    }
}

INLINED int32_t group(const uint8_t *x) {
  int32_t result;
  std::memcpy(&result, x, sizeof result);
  return result;
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("arch=x86-64-v3")))
#define AVX512 __attribute__((target("arch=x86-64-v4")))
#define VNNI __attribute__((target("arch=x86-64-v4,avx512vnni")))

// Products of bytes are added up in 16 bits in pairs, which hold 2 · 127 · 128: so one side has no sign, and its sign goes
// to the other. A row's bytes stand 128 above what they mean; the sums are made as if they were multiplied so.
template <int rows, int vectors> AVX2 void bytesTileAVX2(const Tile &t) {
  static_assert(vectors == 1);
  auto x = static_cast<const uint8_t *>(t.x);
  auto sums = static_cast<int32_t *>(t.sums);
  const char *panel = t.panel, *ahead = t.ahead;
  const __m256i one = _mm256_set1_epi16(1), above = _mm256_set1_epi8(-128);
  __m256i total[rows][2], weights[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  UNROLLED for (int r = 0; r < rows; r++)
    UNROLLED for (int h = 0; h < 2; h++) total[r][h] = _mm256_setzero_si256();
  for (int64_t i = 0; i < t.inputs; i += groupBytes, panel += t.step) {
    askAhead(ahead, t.linesAhead);
    UNROLLED for (int h = 0; h < 2; h++) {
      __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(panel + 32 * h)), size = _mm256_abs_epi8(w);
      weights[h] = _mm256_add_epi32(
          weights[h], _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), w), one));
      UNROLLED for (int r = 0; r < rows; r++) {
        __m256i own = _mm256_xor_si256(_mm256_set1_epi32(group(x + r * t.xStride + i)), above);
        __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(own, w));
        total[r][h] = _mm256_add_epi32(total[r][h], _mm256_madd_epi16(pairs, one));
      }
    }
  }
  UNROLLED for (int r = 0; r < rows; r++)
    UNROLLED for (int h = 0; h < 2; h++) {
      auto to = reinterpret_cast<__m256i *>(sums + r * panelOutputs + 8 * h);
      __m256i found = _mm256_add_epi32(total[r][h], _mm256_slli_epi32(weights[h], 7));
      if (!t.isFirst) found = _mm256_add_epi32(found, _mm256_loadu_si256(to));
      _mm256_storeu_si256(to, found);
    }
}

template <int rows, int vectors> VNNI void bytesTileVNNI(const Tile &t) {
  auto x = static_cast<const uint8_t *>(t.x);
  auto sums = static_cast<int32_t *>(t.sums);
  const char *panel = t.panel, *ahead = t.ahead;
  __m512i total[rows][vectors];
  UNROLLED for (int r = 0; r < rows; r++)
    UNROLLED for (int v = 0; v < vectors; v++)
      total[r][v] = t.isFirst ? _mm512_setzero_si512() : _mm512_loadu_si512(sums + r * panelOutputs + v * lanes);
  for (int64_t i = 0; i < t.inputs; i += groupBytes, panel += t.step) {
    askAhead(ahead, t.linesAhead);
    __m512i w[vectors];
    UNROLLED for (int v = 0; v < vectors; v++) w[v] = _mm512_loadu_si512(panel + 64 * v);
    UNROLLED for (int r = 0; r < rows; r++) {
      __m512i own = _mm512_set1_epi32(group(x + r * t.xStride + i));
      UNROLLED for (int v = 0; v < vectors; v++) total[r][v] = _mm512_dpbusd_epi32(total[r][v], own, w[v]);
    }
  }
  UNROLLED for (int r = 0; r < rows; r++)
    UNROLLED for (int v = 0; v < vectors; v++) _mm512_storeu_si512(sums + r * panelOutputs + v * lanes, total[r][v]);
}

template <int rows, int vectors> AVX2 void float32AVX2(const Tile &t) { tile<rows, vectors, Float32Group>(t); }
template <int rows, int vectors> AVX2 void bfloat16AVX2(const Tile &t) { tile<rows, vectors, BFloat16Group>(t); }
template <int rows, int vectors> AVX512 void float32AVX512(const Tile &t) { tile<rows, vectors, Float32Group>(t); }
template <int rows, int vectors> AVX512 void bfloat16AVX512(const Tile &t) { tile<rows, vectors, BFloat16Group>(t); }
#endif

template <int rows, int vectors> void float32Portable(const Tile &t) { tile<rows, vectors, Float32Group>(t); }
template <int rows, int vectors> void bfloat16Portable(const Tile &t) { tile<rows, vectors, BFloat16Group>(t); }
template <int rows, int vectors> void int8Portable(const Tile &t) { bytesTile<rows, vectors>(t); }

// MARK: Choosing

// As many rows and vectors as the registers hold beside one row of weights and a number of x.
#define KERNEL(name, rows, vectors)                                                                                    \
  []<int... row>(std::integer_sequence<int, row...>) {                                                                 \
    return TileKernel{rows, vectors * lanes, {name<row + 1, vectors>...}, {name<row + 1, 1>...}};                      \
  }(std::make_integer_sequence<int, rows>())

#ifdef __aarch64__
constexpr int portableRows = 6; // 32 registers of 4 numbers
#else
constexpr int portableRows = 2; // 16
#endif
} // namespace

CTInstructions ct_instructions(void) {
#ifdef __x86_64__
  static const CTInstructions best = __builtin_cpu_supports("x86-64-v4")   ? CTAVX512
                                     : __builtin_cpu_supports("x86-64-v3") ? CTAVX2
                                                                           : CTPortable;
  return best;
#else
  return CTPortable;
#endif
}

const TileKernel &ctorch::tileKernel(CTPrecision precision, CTInstructions most) {
  static const TileKernel portable[] = {KERNEL(float32Portable, portableRows, 1),
                                        KERNEL(bfloat16Portable, portableRows, 1), KERNEL(int8Portable, 1, 1)};
#ifdef __x86_64__
  static const TileKernel avx2[] = {KERNEL(float32AVX2, 6, 1), KERNEL(bfloat16AVX2, 6, 1), KERNEL(bytesTileAVX2, 4, 1)};
  static const TileKernel avx512[] = {KERNEL(float32AVX512, 6, 4), KERNEL(bfloat16AVX512, 6, 4),
                                      KERNEL(bytesTileVNNI, 6, 4)};
  static const bool hasVNNI = __builtin_cpu_supports("avx512vnni");
  switch (std::min(most, ct_instructions())) {
  case CTAVX512: return precision == CTInt8Weights && !hasVNNI ? avx2[precision] : avx512[precision];
  case CTAVX2: return avx2[precision];
  case CTPortable: break;
  }
#endif
  return portable[precision];
}
