// One call of a decoding network on the CPU: the same blocks as everywhere, with everything between the products fused and
// all of it done by one team of threads that is woken once. Nothing is recorded, and one allocation holds all that is
// computed on the way.
#include "boundary.h"
#include "cached_attention.h"
#include "lanes.h"
#include "matrix.h"
#include "panels.h"
#include "parallel.h"
#include "widest.h"

#include <ATen/ops/empty.h>
#include <chrono>
#include <cmath>
#include <thread>

using namespace ctorch;

namespace {
// MARK: Rows

// norm(x)·weight + bias
INLINED void normaliseLanes(const float *x, int64_t count, const CTNorm &norm, float *to) {
  Lanes total = {}, squares = {};
  forLanes(count, [&](int64_t i, auto some) INLINED_BODY { total += load(x + i, some); });
  float mean = sum(total) / float(count);
  forLanes(count, [&](int64_t i, auto some) INLINED_BODY {
    Lanes centred = load(x + i, some) - mean;
    if constexpr (!std::is_same_v<decltype(some), Whole>)
      for (int64_t k = some; k < lanes; k++) centred[k] = 0;
    squares += centred * centred;
  });
  float inverse = 1 / std::sqrt(sum(squares) / float(count) + 1e-5f);
  forLanes(count, [&](int64_t i, auto some) INLINED_BODY {
    Lanes y = (load(x + i, some) - mean) * inverse * load(norm.weight + i, some);
    if (norm.bias) y += load(norm.bias + i, some);
    store(y, to + i, some);
  });
}
WIDEST void normalise(const float *x, int64_t count, const CTNorm &norm, float *to) {
  normaliseLanes(x, count, norm, to);
}

// Turns the heads of a query or key by a position's angles, in place: the first half of a head is paired with the second.
WIDEST void turn(float *x, int64_t heads, int64_t size, const float *cosine, const float *sine) {
  int64_t half = size / 2;
  for (int64_t head = 0; head < heads; head++, x += size)
    for (int64_t i = 0; i < half; i++) {
      float a = x[i], b = x[i + half];
      x[i] = a * cosine[i] - b * sine[i];
      x[i + half] = b * cosine[i] + a * sine[i];
    }
}

// MARK: The call

struct ForwardPass {
  const CTNetwork &network;
  const CTDecodingRows &rows;
  const CachedPages &pages;
  Team &team;
  float *logits;

  // [rows, …]
  float *stream, *normed, *wide, *attended, *top, *scales;
  uint8_t *bytes;
  int64_t byteStride;

  std::thread::id caller;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();

  static int64_t room(int64_t count) { return (count + lanes - 1) / lanes * lanes; }

  // Numbers, in float32, that all of it takes.
  static int64_t size(const CTNetwork &network, int64_t rows, int64_t outputs) {
    int64_t d = network.hidden;
    return 4 * room(rows * d) + room(4 * rows * d) + room(outputs * d) + room(rows) +
           room(rows * quantisedStride(4 * d) / 4) + lanes;
  }

  ForwardPass(const CTNetwork &network, const CTDecodingRows &rows, const CachedPages &pages, Team &team, float *memory,
              float *logits, std::thread::id caller)
      : network(network), rows(rows), pages(pages), team(team), logits(logits), caller(caller) {
    memory = reinterpret_cast<float *>((reinterpret_cast<uintptr_t>(memory) + 63) / 64 * 64);
    int64_t d = network.hidden;
    auto take = [&](int64_t count) {
      float *start = memory;
      memory += room(count);
      return start;
    };
    stream = take(rows.count * d);
    normed = take(rows.count * d);
    wide = take(4 * rows.count * d);
    attended = take(rows.count * d);
    top = take(rows.outputCount * d);
    scales = take(rows.count);
    byteStride = quantisedStride(4 * d);
    bytes = reinterpret_cast<uint8_t *>(memory);
  }

  // Adds the time since the last lap to a stage's, where that was asked for, on one of the threads.
  void lap(CTStage stage) {
    if (!rows.seconds || std::this_thread::get_id() != caller) return;
    auto now = std::chrono::steady_clock::now();
    rows.seconds[stage] += std::chrono::duration<double>(now - start).count();
    start = now;
  }

  template <typename Body> void forRows(int64_t count, const Body &body) {
    int64_t grain = std::max<int64_t>(1, 2048 / network.hidden);
    team.each(count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; row++) body(row);
    });
  }

  void quantiseRow(const float *x, int64_t count, int64_t row) {
    quantise(x, count, bytes + row * byteStride, scales + row);
  }

  // What `norm` makes of the rows of the residual stream, in `normed`, ready for a product.
  void normaliseFor(const CTMatrix &next, const CTNorm &norm, int64_t count) {
    int64_t d = network.hidden;
    forRows(count, [&](int64_t row) {
      normalise(stream + row * d, d, norm, normed + row * d);
      if (next.precision == CTInt8Weights) quantiseRow(normed + row * d, d, row);
    });
  }

  void quantised(const CTMatrix &weight, FloatRows x, int64_t count) {
    if (weight.precision == CTInt8Weights)
      forRows(count, [&](int64_t row) { quantiseRow(x[row], weight.inputs, row); });
  }

  // x [count, inputs], whose rows are quantised already if they had to be.
  void multiplied(const CTMatrix &weight, FloatRows x, int64_t count, const ProductTarget &to) {
    Activations in{x.first, x.stride, bytes, byteStride, scales, count};
    team.each(panelCount(weight.outputs), panelsAtOnce(weight, team.size),
              [&](int64_t begin, int64_t end) { multiply(weight, in, begin, end, to); });
  }

  // Stores keys and values that stay, and attends, for the queries of `sequences` in `query`.
  void attend(FloatRows query, int64_t block, const CTSequenceRows *sequences, const int64_t *visible,
              const int64_t *lone) {
    int64_t d = network.hidden, heads = network.heads;
    FloatRows key{wide + d, 3 * d}, value{wide + 2 * d, 3 * d};
    CachedAttention attention{query,   key,          value,           {attended, d},
                              heads,   d / heads,    visible,         lone,
                              pages.data.data(),     pages.slots,     block,
                              pages.isHalf};
    team.each(rows.sequenceCount * (heads + 1), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t number = i / (heads + 1), part = i % (heads + 1);
        // No query looks at a page for what is new.
        part == heads ? attention.keep(sequences[number]) : attention.attend(sequences[number], part);
      }
    });
  }

  void compute(int64_t number) {
    const CTBlock &block = network.blocks[number];
    int64_t d = network.hidden, count = rows.count, half = d / network.heads / 2;
    normaliseFor(block.qkv, block.attentionNorm, count);
    lap(CTRowStage);
    multiplied(block.qkv, {normed, d}, count, {wide, 3 * d, false, false});
    lap(CTProductStage);
    forRows(count, [&](int64_t row) {
      int64_t angle = rows.positions[row] * half;
      for (int64_t part = 0; part < 2; part++) // query and key
        turn(wide + row * 3 * d + part * d, network.heads, 2 * half, network.cosine + angle, network.sine + angle);
    });
    lap(CTRowStage);
    if (number + 1 < network.blockCount) {
      attend({wide, 3 * d}, number, rows.sequences, rows.visible, rows.lone);
    } else {
      // The last block computes outputs alone; of other rows no more than keys and values is needed there.
      count = rows.outputCount;
      forRows(count, [&](int64_t row) {
        std::copy_n(wide + rows.outputs[row] * 3 * d, d, normed + row * d);
        std::copy_n(stream + rows.outputs[row] * d, d, top + row * d);
      });
      attend({normed, d}, number, rows.topSequences, rows.topVisible, rows.topLone);
      // Every thread has a pass of its own.
      stream = top;
    }
    lap(CTAttentionStage);
    FloatRows heads{attended, d}, hidden{wide, 4 * d};
    ProductTarget residual{stream, d, true, false};
    quantised(block.attentionOut, heads, count);
    multiplied(block.attentionOut, heads, count, residual);
    lap(CTProductStage);
    normaliseFor(block.mlpIn, block.mlpNorm, count);
    lap(CTRowStage);
    multiplied(block.mlpIn, {normed, d}, count, {wide, 4 * d, false, true});
    quantised(block.mlpOut, hidden, count);
    multiplied(block.mlpOut, hidden, count, residual);
    lap(CTProductStage);
  }

  void operator()() {
    int64_t d = network.hidden;
    forRows(rows.count, [&](int64_t row) {
      std::copy_n(network.embedding + rows.tokens[row] * d, d, stream + row * d);
    });
    for (int64_t block = 0; block < network.blockCount; block++) compute(block);
    normaliseFor(network.output, network.finalNorm, rows.outputCount);
    lap(CTRowStage);
    multiplied(network.output, {normed, d}, rows.outputCount,
               {logits, network.output.outputs, false, false});
    lap(CTOutputStage);
  }
};
} // namespace

CTStatus ct_decode(const CTNetwork *network, const CTDecodingRows *rows, bool alone, CTTensor **out) {
  return produce(out, [&] {
    for (int64_t row = 0; row < rows->count; row++) {
      TORCH_CHECK(rows->tokens[row] >= 0 && rows->tokens[row] < network->vocabulary, "token ", rows->tokens[row], " of ",
                  network->vocabulary);
      TORCH_CHECK(rows->positions[row] >= 0 && rows->positions[row] < network->positions, "position ",
                  rows->positions[row], " in a table of ", network->positions);
    }
    CachedPages pages(rows->pages, rows->pageCount);
    at::Tensor logits = at::empty({rows->outputCount, network->output.outputs}, at::kFloat);
    at::Tensor memory = at::empty({ForwardPass::size(*network, rows->count, rows->outputCount)}, at::kFloat);
    auto caller = std::this_thread::get_id();
    together(alone, [&](Team &team) {
      ForwardPass(*network, *rows, pages, team, memory.mutable_data_ptr<float>(), logits.mutable_data_ptr<float>(),
                  caller)();
    });
    return logits;
  });
}
