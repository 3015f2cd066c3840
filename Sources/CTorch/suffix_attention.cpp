// Attention of the last slots of each sequence to everything before them, without a dense mask.
//
// Sequence b has keys and values of `length` slots, of which the last counts[b] have a query row; the rows of all
// sequences lie one after another. With c = length − counts[b], the row of slot c + j attends to
//   (1) the prefix: slots 0 ..< c,
//   (2) the suffix: slots c ... c + j (causal), or, where rows bring a key and value of their own ("self"),
//       slots c ..< c + j (strictly causal), and
//   (3) its own key and value, if it brings them.
// (2) without self is causal attention of the clean-then-masked order of a diffusion pass; with self it is the second
// stream of a sequential pass, whose row predicts slot c + j without seeing it. Each part runs through flash attention;
// their results are merged by their log-sum-exps. Flash attention's backward, given the merged output and the merged
// log-sum-exp, yields exactly that part's share of the gradient, so the shares just add up. Memory is linear in length.
#include "boundary.h"

#include <limits>
#include <torch/csrc/autograd/custom_function.h>

using namespace ctorch;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {
// Neighbouring sequences with equally many rows, which one call can serve.
struct Run {
  int64_t sequence, sequences, row, rows; // first sequence and how many; first row, and rows of each sequence
};

std::vector<Run> runs(at::IntArrayRef counts) {
  std::vector<Run> result;
  int64_t row = 0;
  for (size_t b = 0; b < counts.size(); b++) {
    if (!result.empty() && result.back().rows == counts[b]) {
      result.back().sequences++;
    } else {
      result.push_back({int64_t(b), 1, row, counts[b]});
    }
    row += counts[b];
  }
  return result;
}

// The rows of a run as [sequences, heads, rows, size], skipping the first `skipped` of each sequence; for log-sum-exps
// [sequences, heads, rows].
at::Tensor rowsOf(const at::Tensor &x, const Run &run, int64_t skipped = 0) {
  auto shape = x.sizes().vec();
  shape[0] = run.rows;
  shape.insert(shape.begin(), run.sequences);
  return x.narrow(0, run.row, run.sequences * run.rows).view(shape).narrow(1, skipped, run.rows - skipped).transpose(1, 2);
}

// Slots start ..< start + length of a run's keys or values as [sequences, heads, length, size].
at::Tensor slotsOf(const at::Tensor &x, const Run &run, int64_t start, int64_t length) {
  return x.narrow(0, run.sequence, run.sequences).narrow(1, start, length).transpose(1, 2);
}

// Calls part(run, skipped rows, first slot, slots, causal) for every flash attention that makes up the result.
template <typename Part> void forParts(at::IntArrayRef counts, int64_t length, bool withSelf, Part part) {
  for (const Run &run : runs(counts)) {
    int64_t clean = length - run.rows, skipped = withSelf ? 1 : 0, square = run.rows - skipped;
    if (run.rows > 0 && clean > 0) part(run, int64_t(0), int64_t(0), clean, false);
    if (square > 0) part(run, skipped, clean, square, true);
  }
}

struct SuffixAttention : torch::autograd::Function<SuffixAttention> {
  static at::Tensor forward(AutogradContext *context, at::Tensor query, at::Tensor key, at::Tensor value,
                            std::optional<at::Tensor> ownKey, std::optional<at::Tensor> ownValue,
                            std::vector<int64_t> counts) {
    bool withSelf = ownKey.has_value();
    at::Tensor selfKey = ownKey.value_or(at::Tensor()), selfValue = ownValue.value_or(at::Tensor());
    int64_t length = key.size(1);
    double scale = 1 / std::sqrt(double(query.size(-1)));
    auto lseOptions = query.options().dtype(at::kFloat);
    auto lseShape = query.sizes().slice(0, 2);

    // Parts without a key keep weight exp(−∞) = 0.
    float nothing = -std::numeric_limits<float>::infinity();
    at::Tensor prefix = at::zeros_like(query), suffix = at::zeros_like(query);
    at::Tensor prefixLse = at::full(lseShape, nothing, lseOptions), suffixLse = at::full(lseShape, nothing, lseOptions);
    forParts(counts, length, withSelf, [&](const Run &run, int64_t skipped, int64_t start, int64_t slots, bool causal) {
      auto [out, lse] = at::_scaled_dot_product_flash_attention_for_cpu(
          rowsOf(query, run, skipped), slotsOf(key, run, start, slots), slotsOf(value, run, start, slots),
          /*dropout_p=*/0, causal);
      rowsOf(causal ? suffix : prefix, run, skipped).copy_(out);
      rowsOf(causal ? suffixLse : prefixLse, run, skipped).copy_(lse);
    });

    at::Tensor lse = at::logaddexp(prefixLse, suffixLse), own;
    if (withSelf) {
      own = (query * selfKey).sum(-1).to(at::kFloat) * scale;
      lse = at::logaddexp(lse, own);
    }
    auto weight = [&](const at::Tensor &part) { return (part - lse).exp().to(query.scalar_type()).unsqueeze(-1); };
    at::Tensor out = prefix * weight(prefixLse);
    out.addcmul_(suffix, weight(suffixLse));
    if (withSelf) out.addcmul_(selfValue, weight(own));

    context->save_for_backward({query, key, value, selfKey, selfValue, out, lse});
    context->saved_data["counts"] = counts;
    return out;
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    at::Tensor query = saved[0], key = saved[1], value = saved[2], selfKey = saved[3], selfValue = saved[4];
    at::Tensor out = saved[5], lse = saved[6], grad = gradients[0].contiguous();
    auto counts = context->saved_data["counts"].toIntVector();
    bool withSelf = selfKey.defined();
    double scale = 1 / std::sqrt(double(query.size(-1)));

    at::Tensor dQuery = at::zeros_like(query), dKey = at::zeros_like(key), dValue = at::zeros_like(value);
    forParts(counts, key.size(1), withSelf, [&](const Run &run, int64_t skipped, int64_t start, int64_t slots, bool causal) {
      auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
          rowsOf(grad, run, skipped), rowsOf(query, run, skipped), slotsOf(key, run, start, slots),
          slotsOf(value, run, start, slots), rowsOf(out, run, skipped), rowsOf(lse, run, skipped), /*dropout_p=*/0,
          causal);
      rowsOf(dQuery, run, skipped).add_(dq);
      slotsOf(dKey, run, start, slots).copy_(dk);
      slotsOf(dValue, run, start, slots).copy_(dv);
    });

    at::Tensor dSelfKey, dSelfValue;
    if (withSelf) {
      at::Tensor logit = (query * selfKey).sum(-1).to(at::kFloat) * scale;
      at::Tensor chance = (logit - lse).exp().to(query.scalar_type()).unsqueeze(-1);
      at::Tensor dLogit = chance * ((selfValue - out) * grad).sum(-1, /*keepdim=*/true) * scale;
      dSelfValue = chance * grad;
      dSelfKey = dLogit * query;
      dQuery.addcmul_(dLogit, selfKey);
    }
    return {dQuery, dKey, dValue, dSelfKey, dSelfValue, {}};
  }
};

// The same with a dense mask and padded rows, for devices without the kernels above.
at::Tensor dense(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value, const at::Tensor &selfKey,
                 const at::Tensor &selfValue, at::IntArrayRef counts) {
  int64_t batch = key.size(0), length = key.size(1), most = 0, row = 0;
  for (int64_t count : counts) most = std::max(most, count);
  bool withSelf = selfKey.defined();
  at::Tensor source = at::zeros({batch, most}, at::kLong), kept = at::zeros({batch, most}, at::kBool);
  at::Tensor mask = at::zeros({batch, 1, most, length + (withSelf ? most : 0)}, at::kBool);
  for (int64_t b = 0; b < batch; b++) {
    for (int64_t j = 0; j < most; j++) {
      int64_t slot = length - counts[b] + j;
      bool real = j < counts[b];
      source[b][j] = real ? row + j : 0;
      kept[b][j] = real;
      int64_t seen = !real ? 1 : withSelf ? slot : slot + 1; // a padding row sees one slot, so that it stays finite
      mask[b][0][j].narrow(0, 0, seen).fill_(true);
      if (withSelf && real) mask[b][0][j][length + j] = true;
    }
    row += counts[b];
  }
  auto where = query.device();
  at::Tensor index = source.view({-1}).to(where);
  auto padded = [&](const at::Tensor &x) {
    return x.index_select(0, index).view({batch, most, x.size(1), x.size(2)});
  };
  at::Tensor keys = withSelf ? at::cat({key, padded(selfKey)}, 1) : key;
  at::Tensor values = withSelf ? at::cat({value, padded(selfValue)}, 1) : value;
  at::Tensor out = at::scaled_dot_product_attention(padded(query).transpose(1, 2), keys.transpose(1, 2),
                                                    values.transpose(1, 2), mask.to(where));
  at::Tensor rows = kept.view({-1}).nonzero().view({-1}).to(where);
  return out.transpose(1, 2).reshape({batch * most, query.size(1), query.size(2)}).index_select(0, rows);
}
} // namespace

CTStatus ct_suffix_attention(const CTTensor *query, const CTTensor *key, const CTTensor *value, const CTTensor *selfKey,
                             const CTTensor *selfValue, const int64_t *counts, int64_t batch, bool fused,
                             CTTensor **out) {
  return produce(out, [&] {
    at::IntArrayRef rows(counts, batch);
    auto maybe = [](const CTTensor *x) { return x ? std::optional(unwrap(x)) : std::nullopt; };
    return fused ? SuffixAttention::apply(unwrap(query), unwrap(key), unwrap(value), maybe(selfKey), maybe(selfValue),
                                          rows.vec())
                 : dense(unwrap(query), unwrap(key), unwrap(value), optional(selfKey), optional(selfValue), rows);
  });
}
