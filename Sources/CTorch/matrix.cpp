// How a product comes near to the speed of memory: a tile of some rows by some outputs is kept in registers while the
// weight's rows stream by, 64 bytes of each at a step. The outputs are cut into strips whose weights fit in a core's
// cache; while the rows are computed with one strip, the next one is asked for.
//
// Measured on two cores with AVX-512, all weights of model small, against reading them alone: 1.0 to 1.4 times at 1 to 4
// rows, the more the faster memory is just then. At 16 rows float32 takes 15 ms where oneDNN takes 15 to 16, at 64 rows 43
// and 39, at 256 164 and 143.
#include "matrix.h"

#include "boundary.h"
#include "lanes.h"
#include "parallel.h"
#include "widest.h"

#include <ATen/ops/empty.h>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#ifdef __x86_64__
#include <immintrin.h>
#endif

using namespace ctorch;

namespace {
constexpr int64_t line = 64;              // bytes that come from memory together
constexpr int64_t stripBytes = 96 << 10;  // of weights that the rows are computed with before the next
constexpr int64_t longestStrip = 256;     // outputs
constexpr int64_t mostRows = 6, mostOutputs = 4;

// One tile: `raw` gets its sums, which for int8 are integers.
struct Tile {
  const void *x;
  int64_t xStride; // numbers
  const void *weight;
  int64_t inputs;
  void *raw;
  int64_t rawStride; // numbers
  const char *ahead; // what to ask memory for meanwhile
  int64_t linesAhead;
};

template <int rows, int outputs, typename Vector, typename Number>
INLINED void addUp(const Vector (&total)[rows][outputs], Number *raw, int64_t stride) {
  if constexpr (outputs == 4) {
    sums<4 * rows>(&total[0][0], raw, stride);
  } else {
    UNROLLED for (int r = 0; r < rows; r++)
      UNROLLED for (int n = 0; n < outputs; n++) raw[r * stride + n] = sum(total[r][n]);
  }
}

// MARK: float32 and bfloat16

template <int rows, int outputs, typename Number, bool isWhole>
INLINED void step(Lanes (&sums)[rows][outputs], const float *x, int64_t xStride, const Number *weight, int64_t inputs,
                  int64_t count) {
  Lanes w[outputs];
  UNROLLED for (int n = 0; n < outputs; n++) w[n] = isWhole ? load(weight + n * inputs) : load(weight + n * inputs, count);
  UNROLLED for (int r = 0; r < rows; r++) {
    Lanes own = isWhole ? load(x + r * xStride) : load(x + r * xStride, count);
    UNROLLED for (int n = 0; n < outputs; n++) sums[r][n] += own * w[n];
  }
}

template <int rows, int outputs, typename Number> INLINED void tile(const Tile &t) {
  auto x = static_cast<const float *>(t.x);
  auto weight = static_cast<const Number *>(t.weight);
  Lanes total[rows][outputs] = {};
  const char *ahead = t.ahead;
  constexpr int64_t atOnce = line / sizeof(Number);
  int64_t i = 0;
  for (; i + atOnce <= t.inputs; i += atOnce) {
    for (int64_t k = 0; k < t.linesAhead; k++, ahead += line) __builtin_prefetch(ahead);
    for (int64_t part = i; part < i + atOnce; part += lanes)
      step<rows, outputs, Number, true>(total, x + part, t.xStride, weight + part, t.inputs, lanes);
  }
  for (; i + lanes <= t.inputs; i += lanes)
    step<rows, outputs, Number, true>(total, x + i, t.xStride, weight + i, t.inputs, lanes);
  if (i < t.inputs) step<rows, outputs, Number, false>(total, x + i, t.xStride, weight + i, t.inputs, t.inputs - i);
  addUp<rows, outputs>(total, static_cast<float *>(t.raw), t.rawStride);
}

// MARK: int8

template <int rows, int outputs, typename Number> void bytesTile(const Tile &t) {
  auto x = static_cast<const uint8_t *>(t.x);
  auto weight = static_cast<const Number *>(t.weight);
  for (int r = 0; r < rows; r++)
    for (int n = 0; n < outputs; n++) {
      int32_t total = 0;
      for (int64_t i = 0; i < t.inputs; i++)
        total += int32_t(x[r * t.xStride + i]) * int32_t(weight[n * t.inputs + i]);
      static_cast<int32_t *>(t.raw)[r * t.rawStride + n] = total;
    }
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("arch=x86-64-v3")))
#define AVX512 __attribute__((target("arch=x86-64-v4")))
#define VNNI __attribute__((target("arch=x86-64-v4,avx512vnni")))

template <int rows, int outputs, typename Number> AVX2 void tileAVX2(const Tile &t) { tile<rows, outputs, Number>(t); }
template <int rows, int outputs, typename Number> AVX512 void tileAVX512(const Tile &t) {
  tile<rows, outputs, Number>(t);
}

// Products of pairs in 32 bits; bytes times bytes in 16 bits would overflow.
template <int rows, int outputs, typename Number> AVX2 void bytesTileAVX2(const Tile &t) {
  auto x = static_cast<const uint8_t *>(t.x);
  auto weight = static_cast<const int8_t *>(t.weight);
  __m256i total[rows][outputs];
  UNROLLED for (int r = 0; r < rows; r++)
    UNROLLED for (int n = 0; n < outputs; n++) total[r][n] = _mm256_setzero_si256();
  for (int64_t i = 0; i < t.inputs; i += 16) {
    __m256i w[outputs];
    UNROLLED for (int n = 0; n < outputs; n++) {
      __m128i bytes;
      if (i + 16 <= t.inputs) {
        bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(weight + n * t.inputs + i));
      } else {
        int8_t rest[16] = {};
        std::memcpy(rest, weight + n * t.inputs + i, t.inputs - i);
        bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(rest));
      }
      w[n] = _mm256_cvtepi8_epi16(bytes);
    }
    UNROLLED for (int r = 0; r < rows; r++) {
      __m256i own =
          _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(x + r * t.xStride + i)));
      UNROLLED for (int n = 0; n < outputs; n++) total[r][n] = _mm256_add_epi32(total[r][n], _mm256_madd_epi16(own, w[n]));
    }
  }
  UNROLLED for (int r = 0; r < rows; r++)
    UNROLLED for (int n = 0; n < outputs; n++) {
      int32_t each[8], all = 0;
      std::memcpy(each, &total[r][n], sizeof each);
      for (int32_t one : each) all += one;
      static_cast<int32_t *>(t.raw)[r * t.rawStride + n] = all;
    }
}

template <int rows, int outputs, typename Number> VNNI void bytesTileVNNI(const Tile &t) {
  auto x = static_cast<const uint8_t *>(t.x);
  auto weight = static_cast<const int8_t *>(t.weight);
  __m512i total[rows][outputs];
  UNROLLED for (int r = 0; r < rows; r++)
    UNROLLED for (int n = 0; n < outputs; n++) total[r][n] = _mm512_setzero_si512();
  const char *ahead = t.ahead;
  for (int64_t i = 0; i < t.inputs; i += line) {
    for (int64_t k = 0; k < t.linesAhead; k++, ahead += line) __builtin_prefetch(ahead);
    __mmask64 some = t.inputs - i >= line ? ~__mmask64(0) : (__mmask64(1) << (t.inputs - i)) - 1;
    __m512i w[outputs];
    UNROLLED for (int n = 0; n < outputs; n++) w[n] = _mm512_maskz_loadu_epi8(some, weight + n * t.inputs + i);
    UNROLLED for (int r = 0; r < rows; r++) {
      __m512i own = _mm512_loadu_si512(x + r * t.xStride + i);
      UNROLLED for (int n = 0; n < outputs; n++) total[r][n] = _mm512_dpbusd_epi32(total[r][n], own, w[n]);
    }
  }
  IntegerLanes all[rows][outputs];
  UNROLLED for (int r = 0; r < rows; r++)
    UNROLLED for (int n = 0; n < outputs; n++) std::memcpy(&all[r][n], &total[r][n], sizeof all[r][n]);
  addUp<rows, outputs>(all, static_cast<int32_t *>(t.raw), t.rawStride);
}
#endif

template <int rows, int outputs, typename Number> void tilePortable(const Tile &t) { tile<rows, outputs, Number>(t); }

// MARK: Choosing

// Tiles of several sizes, the largest first, each also for a single output.
struct Kernel {
  int64_t outputs;
  struct Size {
    int64_t rows;
    void (*tile)(const Tile &), (*single)(const Tile &);
  } sizes[4];
};

#define SIZE(tile, rows, outputs, Number) {rows, tile<rows, outputs, Number>, tile<rows, 1, Number>}
// As many as 32 registers of 16 numbers hold.
#define LARGE(tile, Number)                                                                                           \
  Kernel {                                                                                                             \
    4, { SIZE(tile, 6, 4, Number), SIZE(tile, 4, 4, Number), SIZE(tile, 2, 4, Number), SIZE(tile, 1, 4, Number) }      \
  }
// As many as 16 registers of 8 numbers hold.
#define SMALL(tile, Number)                                                                                            \
  Kernel {                                                                                                             \
    2, { SIZE(tile, 2, 2, Number), SIZE(tile, 1, 2, Number) }                                                          \
  }

CTInstructions best() {
#ifdef __x86_64__
  static const CTInstructions best = __builtin_cpu_supports("x86-64-v4")   ? CTAVX512
                                     : __builtin_cpu_supports("x86-64-v3") ? CTAVX2
                                                                           : CTPortable;
  return best;
#else
  return CTPortable;
#endif
}

const Kernel &kernel(CTPrecision precision, CTInstructions most) {
  static const Kernel portable[] = {SMALL(tilePortable, float), SMALL(tilePortable, BFloat16),
                                    SMALL(bytesTile, int8_t)};
#ifdef __x86_64__
  static const Kernel avx2[] = {SMALL(tileAVX2, float), SMALL(tileAVX2, BFloat16), SMALL(bytesTileAVX2, int8_t)};
  static const Kernel avx512[] = {LARGE(tileAVX512, float), LARGE(tileAVX512, BFloat16),
                                  LARGE(bytesTileVNNI, int8_t)};
  static const bool hasVNNI = __builtin_cpu_supports("avx512vnni");
  switch (std::min(most, best())) {
  case CTAVX512: return precision == CTInt8Weights && !hasVNNI ? avx2[precision] : avx512[precision];
  case CTAVX2: return avx2[precision];
  case CTPortable: break;
  }
#endif
  return portable[precision];
}

int64_t elementSize(CTPrecision precision) {
  return precision == CTFloat32Weights ? 4 : precision == CTBFloat16Weights ? 2 : 1;
}

// MARK: What follows a sum

using Bytes = uint8_t __attribute__((vector_size(16)));

INLINED IntegerLanes integers(const int32_t *x, Whole) {
  IntegerLanes result;
  std::memcpy(&result, x, sizeof result);
  return result;
}
INLINED IntegerLanes integers(const int32_t *x, int64_t count) {
  IntegerLanes result = {};
  std::memcpy(&result, x, count * sizeof(int32_t));
  return result;
}

// Row `row` of outputs begin ..< begin + count: scale, bias, gelu, and to its place.
INLINED void finishLanes(const CTMatrix &weight, const Activations &x, int64_t row, int64_t begin, int64_t count,
                         const void *raw, const ProductTarget &out) {
  float *to = out.rows + row * out.stride + begin;
  forLanes(count, [&](int64_t i, auto some) INLINED_BODY {
    int64_t n = begin + i;
    Lanes value;
    if (weight.precision == CTInt8Weights) {
      IntegerLanes total;
      std::memcpy(&total, static_cast<const int32_t *>(raw) + i, sizeof total);
      // Bytes stand 128 above what they mean.
      total -= integers(weight.sums + n, some) << 7;
      value = __builtin_convertvector(total, Lanes) * (load(weight.scales + n, some) * x.scales[row]);
    } else {
      value = load(static_cast<const float *>(raw) + i);
    }
    if (weight.bias) value += load(weight.bias + n, some);
    if (out.gelu) value = gelu(value);
    if (out.adds) value += load(to + i, some);
    store(value, to + i, some);
  });
}
WIDEST void finish(const CTMatrix &weight, const Activations &x, int64_t row, int64_t begin, int64_t count,
                   const void *raw, const ProductTarget &out) {
  finishLanes(weight, x, row, begin, count, raw, out);
}

INLINED void quantiseLanes(const float *row, int64_t count, uint8_t *bytes, float *scale) {
  Lanes most = {}, poison = {};
  forLanes(count, [&](int64_t i, auto some) INLINED_BODY {
    Lanes x = load(row + i, some), size = x < 0 ? -x : x;
    most = size > most ? size : most;
    poison += x * 0.0f;
  });
  float range = largest(most);
  *scale = range / 127 + sum(poison);
  constexpr float toInteger = 12582912 + 128; // as in `exponential`
  float inverse = range > 0 && range < std::numeric_limits<float>::infinity() ? 127 / range : 0;
  forLanes(count, [&](int64_t i, auto some) INLINED_BODY {
    // The lowest bits, which is all of it where the number is one.
    IntegerLanes bits = IntegerLanes(load(row + i, some) * inverse + toInteger);
    auto low = __builtin_convertvector(bits, Bytes);
    if constexpr (std::is_same_v<decltype(some), Whole>)
      std::memcpy(bytes + i, &low, lanes);
    else
      std::memcpy(bytes + i, &low, some);
  });
}
} // namespace

void ctorch::multiply(const CTMatrix &weight, const Activations &x, int64_t begin, int64_t end,
                      const ProductTarget &out, CTInstructions most) {
  const Kernel &kernel = ::kernel(weight.precision, most);
  bool isBytes = weight.precision == CTInt8Weights;
  int64_t size = elementSize(weight.precision), rowBytes = weight.inputs * size;
  int64_t strip = std::clamp(stripBytes / std::max<int64_t>(1, rowBytes) / mostOutputs * mostOutputs, mostOutputs,
                             longestStrip);
  // Room for whole vectors behind the last output.
  alignas(line) int32_t raw[mostRows * (longestStrip + lanes)];
  int64_t rawStride = strip + lanes;
  auto rowsAtOnce = [&](int64_t left) {
    const Kernel::Size *size = kernel.sizes;
    while (size->rows > left) size++;
    return size;
  };
  int64_t passes = 0;
  for (int64_t row = 0; row < x.count; row += rowsAtOnce(x.count - row)->rows) passes++;
  auto weightRow = [&](int64_t n) { return static_cast<const char *>(weight.rows) + n * rowBytes; };
  for (int64_t start = begin; start < end; start += strip) {
    int64_t stop = std::min(start + strip, end), pass = 0;
    for (int64_t row = 0; row < x.count; pass++) {
      const Kernel::Size *size = rowsAtOnce(x.count - row);
      // Each pass over the strip asks for its share of the next strip's rows.
      int64_t sharers = std::min(passes, kernel.outputs);
      int64_t first = pass < sharers ? kernel.outputs * pass / sharers : 0;
      int64_t lines = pass < sharers && stop < end ? kernel.outputs * (pass + 1) / sharers - first : 0;
      Tile tile{isBytes ? static_cast<const void *>(x.bytes + row * x.byteStride) : x.rows + row * x.stride,
                isBytes ? x.byteStride : x.stride,
                nullptr,
                weight.inputs,
                nullptr,
                rawStride,
                nullptr,
                lines};
      for (int64_t n = start; n < stop;) {
        bool isWhole = n + kernel.outputs <= stop;
        tile.weight = weightRow(n);
        tile.raw = raw + (n - start);
        tile.ahead = weightRow(std::min(n + strip + first, end - 1));
        isWhole ? size->tile(tile) : size->single(tile);
        n += isWhole ? kernel.outputs : 1;
      }
      for (int64_t r = 0; r < size->rows; r++)
        finish(weight, x, row + r, start, stop - start, raw + r * rawStride, out);
      row += size->rows;
    }
  }
}

int64_t ctorch::outputsAtOnce(const CTMatrix &weight, int64_t threads) {
  // A thread that is late should not be waited for long; but a share should hold some strips.
  int64_t share = (weight.outputs + 4 * threads - 1) / (4 * threads);
  return threads == 1 ? weight.outputs : std::max<int64_t>(32, (share + 3) / 4 * 4);
}

WIDEST void ctorch::quantise(const float *row, int64_t count, uint8_t *bytes, float *scale) {
  quantiseLanes(row, count, bytes, scale);
}

// MARK: The interface

namespace {
WIDEST uint32_t readLines(const uint32_t *x, int64_t count) {
  uint32_t sum = 0;
  for (int64_t i = 0; i < count; i++) sum ^= x[i];
  return sum;
}
} // namespace

CTStatus ct_read(const CTTensor *tensor, uint32_t *sum) {
  return guarded([&] {
    const at::Tensor &x = unwrap(tensor);
    TORCH_CHECK(x.is_cpu() && x.is_contiguous(), "a contiguous tensor on the CPU");
    auto words = static_cast<const uint32_t *>(x.data_ptr());
    std::atomic<uint32_t> all{0};
    parallelFor(x.nbytes() / 4, 1 << 20, [&](int64_t begin, int64_t end) { all ^= readLines(words + begin, end - begin); });
    *sum = all;
  });
}

CTInstructions ct_instructions(void) { return best(); }

CTStatus ct_quantise(const CTTensor *weight, CTTensor **rows, CTTensor **scales) {
  return guarded([&] {
    at::Tensor w = unwrap(weight).contiguous();
    TORCH_CHECK(w.dim() == 2 && w.scalar_type() == at::kFloat && w.is_cpu(), "a float32 matrix on the CPU");
    int64_t outputs = w.size(0), inputs = w.size(1);
    at::Tensor bytes = at::empty({outputs, inputs}, w.options().dtype(at::kChar));
    at::Tensor scale = at::empty({outputs}, w.options());
    const float *from = elements<float>(w);
    auto to = bytes.mutable_data_ptr<int8_t>();
    float *scaleOf = scale.mutable_data_ptr<float>();
    parallelFor(outputs, std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(1, inputs)), [&](int64_t b, int64_t e) {
      std::vector<uint8_t> above(inputs);
      for (int64_t n = b; n < e; n++) {
        quantise(from + n * inputs, inputs, above.data(), scaleOf + n);
        for (int64_t i = 0; i < inputs; i++) to[n * inputs + i] = int8_t(above[i] - 128);
      }
    });
    *rows = wrap(bytes);
    *scales = wrap(scale);
  });
}

CTStatus ct_row_sums(const CTTensor *rows, CTTensor **sums) {
  return produce(sums, [&] {
    at::Tensor w = unwrap(rows);
    TORCH_CHECK(w.dim() == 2 && w.scalar_type() == at::kChar && w.is_contiguous() && w.is_cpu(), "an int8 matrix");
    at::Tensor result = at::empty({w.size(0)}, w.options().dtype(at::kInt));
    auto from = elements<int8_t>(w);
    auto to = result.mutable_data_ptr<int32_t>();
    for (int64_t n = 0; n < w.size(0); n++) {
      int32_t total = 0;
      for (int64_t i = 0; i < w.size(1); i++) total += from[n * w.size(1) + i];
      to[n] = total;
    }
    return result;
  });
}

CTStatus ct_multiply(const CTTensor *input, const CTMatrix *weight, bool gelu, CTInstructions most, CTTensor **out) {
  return produce(out, [&] {
    at::Tensor x = unwrap(input).reshape({-1, unwrap(input).size(-1)}).contiguous();
    TORCH_CHECK(x.scalar_type() == at::kFloat && x.is_cpu() && x.size(1) == weight->inputs, "float32 rows of ",
                weight->inputs, " numbers on the CPU");
    int64_t rows = x.size(0), stride = quantisedStride(weight->inputs);
    std::vector<uint8_t> bytes;
    std::vector<float> scales;
    const float *from = elements<float>(x);
    if (weight->precision == CTInt8Weights) {
      bytes.resize(rows * stride);
      scales.resize(rows);
      parallelFor(rows, 16, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++)
          quantise(from + r * weight->inputs, weight->inputs, bytes.data() + r * stride, &scales[r]);
      });
    }
    Activations activations{from, weight->inputs, bytes.data(), stride, scales.data(), rows};
    at::Tensor result = at::empty({rows, weight->outputs}, x.options());
    ProductTarget target{result.mutable_data_ptr<float>(), weight->outputs, false, gelu};
    parallelFor(weight->outputs, outputsAtOnce(*weight, threadCount()), [&](int64_t begin, int64_t end) {
      multiply(*weight, activations, begin, end, target, most);
    });
    auto shape = unwrap(input).sizes().vec();
    shape.back() = weight->outputs;
    return result.reshape(shape);
  });
}
