// Calls our own products and decoding with sizes that end in the middle of vectors, strips and pages, each operand in
// memory of exactly its size: what reads or writes beyond it is found by the sanitizers that `check-kernels.sh` compiles
// this with. Results are compared with libtorch's.
#include "boundary.h"
#include "ctorch.h"

#include <ATen/ATen.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>

using namespace ctorch;

namespace {
// A copy of a tensor's bytes in memory of their own, which ends where they do.
struct Exact {
  std::unique_ptr<char[]> bytes;
  at::Tensor tensor;

  explicit Exact(const at::Tensor &x) : bytes(new char[x.nbytes()]) {
    at::Tensor from = x.contiguous();
    std::memcpy(bytes.get(), from.data_ptr(), x.nbytes());
    tensor = at::from_blob(bytes.get(), from.sizes(), from.options());
  }
  template <typename Number> const Number *data() const { return reinterpret_cast<const Number *>(bytes.get()); }
};

void require(bool holds, const char *what) {
  if (holds) return;
  std::fprintf(stderr, "%s: %s\n", what, ct_last_error());
  std::exit(1);
}

struct Weight {
  Exact panels, scales, sums, bias;
  CTMatrix matrix;
  at::Tensor dense;

  static at::Tensor made(CTTensor *tensor) {
    at::Tensor result = unwrap(tensor);
    ct_free(tensor);
    return result;
  }

  Weight(CTPrecision precision, int64_t outputs, int64_t inputs)
      : panels(at::zeros({1})), scales(at::zeros({1})), sums(at::zeros({1}, at::kInt)), bias(at::randn({outputs})) {
    CTTensor *weight = wrap(at::randn({outputs, inputs}) * 0.3), *packed = nullptr, *scale = nullptr, *sum = nullptr;
    require(ct_pack(weight, precision, &packed, &scale) == CTOK, "pack");
    if (precision == CTInt8Weights) {
      require(ct_panel_sums(packed, outputs, inputs, &sum) == CTOK, "sums");
      scales = Exact(made(scale));
      sums = Exact(made(sum));
    }
    panels = Exact(made(packed));
    ct_free(weight);
    matrix = {precision, panels.bytes.get(), scales.data<float>(), sums.data<int32_t>(), bias.data<float>(), outputs,
              inputs};
    CTTensor *unpacked = nullptr;
    require(ct_unpack(&matrix, &unpacked) == CTOK, "unpack");
    dense = made(unpacked);
  }
};

void products(std::mt19937 &random) {
  for (int round = 0; round < 150; round++) {
    auto precision = CTPrecision(round % 3);
    int64_t rows = 1 + random() % 17, inputs = 1 + random() % 300, outputs = 1 + random() % 600;
    Weight weight(precision, outputs, inputs);
    Exact x(at::randn({rows, inputs}));
    at::Tensor expected = at::linear(x.tensor, weight.dense, weight.bias.tensor);
    for (CTInstructions most : {CTPortable, CTAVX2, CTAVX512}) {
      CTTensor *in = wrap(x.tensor), *out = nullptr;
      require(ct_multiply(in, &weight.matrix, false, most, &out) == CTOK, "multiply");
      at::Tensor found = Weight::made(out);
      ct_free(in);
      double tolerance = (precision == CTInt8Weights ? 0.02 : 1e-5) * (1 + std::sqrt(double(inputs)));
      require((found - expected).abs().max().item<double>() < tolerance, "a product differs");
    }
  }
}

void decoding(std::mt19937 &random) {
  for (int round = 0; round < 60; round++) {
    auto precision = CTPrecision(round % 3);
    bool half = round % 2;
    int64_t heads = 1 + random() % 3, size = 2 * (1 + random() % 40), d = heads * size, vocabulary = 5 + random() % 40;
    if (round % 4 == 0) size = 32, d = heads * size;
    int64_t slots = 7, pageCount = 3, stored = random() % 14, count = 1 + random() % 7, kept = random() % (count + 1);
    Exact embedding(at::randn({vocabulary, d})), norm(at::ones({d})), shift(at::zeros({d}));
    Exact cosine(at::randn({64, size / 2})), sine(at::randn({64, size / 2}));
    Weight qkv(precision, 3 * d, d), attentionOut(precision, d, d), mlpIn(precision, 4 * d, d), mlpOut(precision, d, 4 * d);
    Weight output(precision, vocabulary, d);
    CTNorm one{norm.data<float>(), round % 5 ? shift.data<float>() : nullptr};
    CTBlock block{one, qkv.matrix, attentionOut.matrix, one, mlpIn.matrix, mlpOut.matrix};
    CTBlock blocks[] = {block, block};
    CTNetwork network{d, heads, vocabulary, embedding.data<float>(), blocks, 2, one, output.matrix,
                      cosine.data<float>(), sine.data<float>(), 64};
    std::vector<Exact> pages;
    std::vector<CTTensor *> handles;
    for (int64_t i = 0; i < pageCount; i++)
      pages.emplace_back(at::randn({2, 2, heads, slots, size}).to(half ? at::kBFloat16 : at::kFloat));
    for (Exact &page : pages) handles.push_back(wrap(page.tensor));
    std::vector<int32_t> tokens(count);
    std::vector<int64_t> positions(count), visible(count), lone(count), outputs, topVisible, topLone;
    for (int64_t i = 0; i < count; i++) {
      tokens[i] = random() % vocabulary;
      positions[i] = random() % 64;
      visible[i] = 1 + random() % (stored + count);
      // A new row that it sees besides, as checks of drafts see themselves alone.
      lone[i] = random() % 2 ? -1 : stored + int64_t(random() % count);
      if (lone[i] >= 0 && lone[i] < visible[i]) lone[i] = -1;
      if (random() % 2) outputs.push_back(i);
    }
    for (int64_t row : outputs) topVisible.push_back(visible[row]), topLone.push_back(lone[row]);
    CTSequenceRows all{0, count, 0, count, stored, kept, 0}, top = all;
    top.queryCount = int64_t(outputs.size());
    CTDecodingRows rows{count, tokens.data(), positions.data(), visible.data(), lone.data(), int64_t(outputs.size()),
                        outputs.data(), &all, &top, topVisible.data(), topLone.data(), 1, handles.data(), pageCount,
                        nullptr};
    CTTensor *alone = nullptr, *together = nullptr;
    require(ct_decode(&network, &rows, true, &alone) == CTOK, "decode");
    require(ct_decode(&network, &rows, false, &together) == CTOK, "decode");
    at::Tensor a = Weight::made(alone), b = Weight::made(together);
    require(a.equal(b) && !a.isnan().any().item<bool>(), "one thread and several differ");
    for (CTTensor *handle : handles) ct_free(handle);
  }
}
} // namespace

int main() {
  at::manual_seed(1);
  std::mt19937 random(1);
  ct_set_num_threads(3);
  products(random);
  decoding(random);
  std::puts("kernels: 450 products and 120 decoding calls, nothing out of place");
}
