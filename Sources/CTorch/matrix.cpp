// How a product comes near to the speed of memory: a panel of weights is taken in chunks that fit in a core's nearest cache,
// each computed with all rows, a tile of them at a time, while the next one is asked for.
//
// Measured on two Zen 5 cores, matrices of model small, in float32: at 1 to 6 rows 80 to 95 % of the speed at which the
// weights alone are read, and from 32 rows on 470 to 500 GFLOP/s, 86 to 91 % of what multiplying registers alone reaches
// (548), where oneDNN's come to 400 to 440 at 128 rows. Panels of 32 outputs took 8.1 ms instead of 9.9 at 16 rows and 17.1
// instead of 15.2 at 32; without asking ahead 16 rows took 1.3 times as long.
#include "matrix.h"

#include "boundary.h"
#include "lanes.h"
#include "panels.h"
#include "parallel.h"
#include "tiles.h"
#include "widest.h"

#include <ATen/ops/empty.h>
#include <atomic>
#include <limits>
#include <vector>

using namespace ctorch;

namespace {
constexpr int64_t chunkGroups = 128; // 32 KB
constexpr int64_t rowsAtOnce = 128;  // whose sums take as much again

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

// MARK: Sums

// Sums of rows first ..< first + count over all inputs, for the outputs of one panel.
void addUp(const CTMatrix &weight, const Activations &x, int64_t first, int64_t count, int64_t panel,
                  const TileKernel &kernel, bool isLast, int32_t *sums) {
  bool isBytes = weight.precision == CTInt8Weights;
  int64_t width = panelWidth(weight.outputs, panel), step = width * groupBytes;
  int64_t outputs = width % kernel.outputs == 0 ? kernel.outputs : lanes, slices = width / outputs;
  int64_t tiles = (count + kernel.rows - 1) / kernel.rows, calls = tiles * slices, lines = width / lanes;
  int64_t linesOfCall = (lines + calls - 1) / calls;
  int64_t size = groupSize(weight.precision);
  const char *groups =
      static_cast<const char *>(weight.panels) + panelOffset(weight.precision, weight.inputs, panel);
  for (int64_t begin = 0; begin < weight.inputs; begin += chunkGroups * size, groups += chunkGroups * step) {
    int64_t inputs = std::min(chunkGroups * size, weight.inputs - begin);
    bool asks = !isLast || begin + inputs < weight.inputs;
    for (int64_t tile = 0, row = 0; tile < tiles; tile++) {
      int64_t rows = (count - row + tiles - tile - 1) / (tiles - tile);
      for (int64_t slice = 0; slice < slices; slice++) {
        int64_t call = tile * slices + slice;
        auto run = outputs == lanes ? kernel.narrow[rows - 1] : kernel.wide[rows - 1];
        run({isBytes ? static_cast<const void *>(x.bytes + (first + row) * x.byteStride + begin)
                     : x.rows + (first + row) * x.stride + begin,
             isBytes ? x.byteStride : x.stride, groups + slice * outputs * groupBytes, step, inputs,
             sums + row * panelOutputs + slice * outputs, begin == 0,
             groups + chunkGroups * step + call * linesOfCall * chunkGroups * 64,
             asks && call * linesOfCall < lines ? linesOfCall : 0});
      }
      row += rows;
    }
  }
}

} // namespace

void ctorch::multiply(const CTMatrix &weight, const Activations &x, int64_t begin, int64_t end,
                      const ProductTarget &out, CTInstructions most) {
  const TileKernel &kernel = tileKernel(weight.precision, most);
  alignas(64) int32_t sums[rowsAtOnce * panelOutputs];
  for (int64_t panel = begin; panel < end; panel++) {
    int64_t output = panel * panelOutputs, count = std::min(panelOutputs, weight.outputs - output);
    for (int64_t first = 0; first < x.count; first += rowsAtOnce) {
      int64_t rows = std::min(rowsAtOnce, x.count - first);
      addUp(weight, x, first, rows, panel, kernel, panel + 1 == end, sums);
      for (int64_t r = 0; r < rows; r++) finish(weight, x, first + r, output, count, sums + r * panelOutputs, out);
    }
  }
}

int64_t ctorch::panelsAtOnce(const CTMatrix &weight, int64_t threads) {
  // A thread that is late should not be waited for long.
  int64_t panels = panelCount(weight.outputs);
  return threads == 1 ? panels : std::max<int64_t>(1, panels / (4 * threads));
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
    parallelFor(panelCount(weight->outputs), panelsAtOnce(*weight, threadCount()), [&](int64_t begin, int64_t end) {
      multiply(*weight, activations, begin, end, target, most);
    });
    auto shape = unwrap(input).sizes().vec();
    shape.back() = weight->outputs;
    return result.reshape(shape);
  });
}
