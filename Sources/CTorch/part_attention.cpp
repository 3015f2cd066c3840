// Attention put together from parts, without a dense mask.
//
// A part says that a range of query rows looks at a range of keys, in one of three ways:
//   block = 0    every row at every key;
//   block = b    rows and keys are both cut into blocks of b: row block i looks at the key blocks 0 ... i (b = 1: causal);
//   block = −b   row block i looks at key block i alone (b = 1: each row at one key).
// A row may have several parts, with different keys; it attends to all of them together. What a part shows no key, or
// nobody, has no share in it: such rows and keys are left out of the part, because flash attention would give a row
// without keys the log-sum-exp 0, not −∞. Each part runs through flash attention and their results are merged by their log-sum-exps. Flash attention's backward, given the merged output and
// the merged log-sum-exp, yields exactly that part's share of the gradient, so the shares just add up. Memory is linear
// in the number of rows, but for the masks of one block-causal part.
#include "boundary.h"
#include "parallel.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/floor_divide.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <algorithm>
#include <numeric>
#include <torch/csrc/autograd/custom_function.h>

using namespace ctorch;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {
struct Part {
  int64_t query, rows, key, slots, block;
  int64_t keyStride = 0; // from one sequence of a cluster to the next
};

// Parts whose rows overlap, and how often the same constellation repeats at equal distances: once a sequence, usually.
// The first part has the most rows.
struct Cluster {
  int64_t query, rows, sequences = 1, stride = 0;
  std::vector<Part> parts;
};

bool repeats(const Cluster &a, const Cluster &b) {
  int64_t stride = b.query - (a.query + (a.sequences - 1) * a.stride);
  if (a.rows != b.rows || a.parts.size() != b.parts.size() || (a.sequences > 1 && stride != a.stride)) return false;
  for (size_t i = 0; i < a.parts.size(); i++) {
    const Part &p = a.parts[i], &q = b.parts[i];
    if (p.query - a.query != q.query - b.query || p.rows != q.rows || p.slots != q.slots || p.block != q.block ||
        q.key < p.key || (a.sequences > 1 && q.key != p.key + a.sequences * p.keyStride))
      return false;
  }
  return true;
}

// The parts that five numbers each describe, without rows that see no key and keys that no row sees. Own blocks are all
// of equal size: a last one that is cut off is a part of its own.
std::vector<Part> partsFrom(const int64_t *numbers, int64_t count) {
  std::vector<Part> parts;
  for (int64_t i = 0; i < count; i++) {
    const int64_t *n = numbers + 5 * i;
    Part p{n[0], n[1], n[2], n[3], n[4]};
    if (int64_t b = -p.block; b > 0) {
      int64_t shorter = std::min(p.rows, p.slots), whole = shorter / b * b, end = (shorter + b - 1) / b * b;
      p.rows = std::min(p.rows, end);
      p.slots = std::min(p.slots, end);
      if (p.rows != p.slots || p.rows != whole) {
        parts.push_back({p.query + whole, p.rows - whole, p.key + whole, p.slots - whole, 0});
        p.rows = p.slots = whole;
      }
    }
    parts.push_back(p);
  }
  std::erase_if(parts, [](const Part &p) { return p.rows == 0 || p.slots == 0; });
  return parts;
}

std::vector<Cluster> clusters(const int64_t *numbers, int64_t count) {
  std::vector<Part> parts = partsFrom(numbers, count);
  std::stable_sort(parts.begin(), parts.end(), [](const Part &a, const Part &b) { return a.query < b.query; });
  std::vector<Cluster> found;
  for (const Part &part : parts) {
    if (!found.empty() && part.query < found.back().query + found.back().rows) {
      Cluster &last = found.back();
      last.rows = std::max(last.rows, part.query + part.rows - last.query);
      last.parts.push_back(part);
    } else {
      found.push_back({part.query, part.rows, 1, 0, {part}});
    }
  }
  std::vector<Cluster> merged;
  for (Cluster &cluster : found) {
    std::stable_sort(cluster.parts.begin(), cluster.parts.end(),
                     [](const Part &a, const Part &b) { return a.rows > b.rows; });
    if (!merged.empty() && repeats(merged.back(), cluster)) {
      Cluster &last = merged.back();
      last.stride = cluster.query - (last.query + (last.sequences - 1) * last.stride);
      for (size_t i = 0; i < last.parts.size(); i++)
        last.parts[i].keyStride = (cluster.parts[i].key - last.parts[i].key) / last.sequences;
      last.sequences++;
    } else {
      merged.push_back(cluster);
    }
  }
  return merged;
}

// Clusters that may be computed side by side: each list holds those of which some look at the same keys, whose gradients
// add up, in their order; a cluster of several sequences is cut into one for each.
std::vector<std::vector<Cluster>> strands(const std::vector<Cluster> &all) {
  std::vector<Cluster> single;
  for (const Cluster &c : all)
    for (int64_t i = 0; i < c.sequences; i++) {
      single.push_back({c.query + i * c.stride, c.rows, 1, 0, c.parts});
      for (Part &p : single.back().parts) {
        p.query += i * c.stride;
        p.key += i * p.keyStride;
        p.keyStride = 0;
      }
    }
  std::vector<size_t> leader(single.size());
  std::iota(leader.begin(), leader.end(), 0);
  auto leaderOf = [&](size_t i) {
    while (leader[i] != i) i = leader[i] = leader[leader[i]];
    return i;
  };
  struct Keys {
    int64_t begin, end;
    size_t cluster;
  };
  std::vector<Keys> keys;
  for (size_t i = 0; i < single.size(); i++)
    for (const Part &p : single[i].parts) keys.push_back({p.key, p.key + p.slots, i});
  std::sort(keys.begin(), keys.end(), [](const Keys &a, const Keys &b) { return a.begin < b.begin; });
  int64_t end = 0;
  for (size_t i = 0; i < keys.size(); i++) {
    if (i > 0 && keys[i].begin < end) {
      size_t a = leaderOf(keys[i - 1].cluster), b = leaderOf(keys[i].cluster);
      leader[std::max(a, b)] = std::min(a, b);
    }
    end = std::max(end, keys[i].end);
  }
  std::vector<std::vector<Cluster>> found;
  std::vector<size_t> place(single.size());
  for (size_t i = 0; i < single.size(); i++) {
    size_t first = leaderOf(i);
    if (first == i) {
      place[i] = found.size();
      found.emplace_back();
    }
    found[place[first]].push_back(single[i]);
  }
  return found;
}

// Calls body(cluster) for all of them. Threads that take a sequence each need not wait for one another in every operation;
// where there are too few sequences for that, all work on one.
template <typename Body> void forClusters(const std::vector<int64_t> &parts, const Body &body) {
  auto all = clusters(parts.data(), parts.size() / 5);
  auto apart = sharesThreads() ? strands(all) : std::vector<std::vector<Cluster>>();
  if (int64_t(apart.size()) < 2 * threadCount()) {
    for (const Cluster &c : all) body(c);
    return;
  }
  parallelFor(apart.size(), 1, [&](int64_t begin, int64_t end) {
    at::AutoDispatchBelowADInplaceOrView guard; // a thread records gradients unless told otherwise
    for (int64_t i = begin; i < end; i++)
      for (const Cluster &c : apart[i]) body(c);
  });
}

// Rows of a contiguous x [rows, heads, ...] as [sequences, heads, count, ...], sharing memory.
at::Tensor view(const at::Tensor &x, int64_t start, int64_t count, int64_t sequences, int64_t stride) {
  auto shape = x.sizes().vec(), strides = x.strides().vec();
  shape[0] = count;
  shape.insert(shape.begin(), sequences);
  strides.insert(strides.begin(), stride * x.stride(0));
  return x.as_strided(shape, strides, x.storage_offset() + start * x.stride(0)).transpose(1, 2);
}
at::Tensor rowsOf(const at::Tensor &x, const Cluster &c, const Part &p) {
  return view(x, p.query, p.rows, c.sequences, c.stride);
}
at::Tensor slotsOf(const at::Tensor &x, const Cluster &c, const Part &p) {
  return view(x, p.key, p.slots, c.sequences, p.keyStride);
}

// [sequences, heads, n·b, size] as [sequences·n, heads, b, size], and back.
at::Tensor intoBlocks(const at::Tensor &x, int64_t b) {
  return x.unflatten(2, {x.size(2) / b, b}).transpose(1, 2).flatten(0, 1);
}
at::Tensor fromBlocks(const at::Tensor &x, int64_t sequences) {
  return x.unflatten(0, {sequences, x.size(0) / sequences}).transpose(1, 2).flatten(2, 3);
}

// Which of the part's keys a row looks at, bool [rows, slots].
at::Tensor allowed(const Part &p, at::Device device) {
  auto blocks = [&](int64_t count) {
    at::Tensor index = at::arange(count, at::TensorOptions().dtype(at::kLong).device(device));
    return p.block == 0 ? at::zeros_like(index) : at::floor_divide(index, std::abs(p.block));
  };
  at::Tensor row = blocks(p.rows).unsqueeze(1), slot = blocks(p.slots).unsqueeze(0);
  return p.block < 0 ? row == slot : row >= slot;
}

// ---- the parts one by one, through flash attention ----

// The mask of a block-causal part as numbers to add; undefined where none is needed.
std::optional<at::Tensor> bias(const Part &p, const at::Tensor &query) {
  if (p.block <= 1) return std::nullopt;
  at::Tensor hidden = allowed(p, query.device()).logical_not();
  return at::zeros({p.rows, p.slots}, query.options()).masked_fill_(hidden, -std::numeric_limits<double>::infinity());
}

double scaleOf(const at::Tensor &query) { return 1 / std::sqrt(double(query.size(-1))); }

struct PartAttention : torch::autograd::Function<PartAttention> {
  // The output and log-sum-exp [sequences, heads, rows] of one part alone.
  static std::pair<at::Tensor, at::Tensor> attend(const Cluster &c, const Part &p, const at::Tensor &query,
                                                  const at::Tensor &key, const at::Tensor &value) {
    at::Tensor q = rowsOf(query, c, p), k = slotsOf(key, c, p), v = slotsOf(value, c, p);
    if (p.block == -1) return {v, (q * k).sum(-1, false, at::kFloat) * scaleOf(query)};
    if (p.block < 0) {
      auto [out, lse] = at::_scaled_dot_product_flash_attention_for_cpu(intoBlocks(q, -p.block), intoBlocks(k, -p.block),
                                                                        intoBlocks(v, -p.block), 0, false);
      return {fromBlocks(out, c.sequences), fromBlocks(lse.unsqueeze(-1), c.sequences).squeeze(-1)};
    }
    auto [out, lse] = at::_scaled_dot_product_flash_attention_for_cpu(q, k, v, 0, p.block == 1, bias(p, query));
    return {out, lse};
  }

  static at::Tensor forward(AutogradContext *context, at::Tensor query, at::Tensor key, at::Tensor value,
                            std::vector<int64_t> parts) {
    at::Tensor out = at::empty_like(query, query.options().dtype(at::kFloat));
    at::Tensor lse = at::empty({query.size(0), query.size(1)}, out.options());
    forClusters(parts, [&](const Cluster &c) {
      bool isCovered = c.parts[0].rows == c.rows;
      if (!isCovered) {
        view(out, c.query, c.rows, c.sequences, c.stride).zero_();
        view(lse, c.query, c.rows, c.sequences, c.stride).fill_(-std::numeric_limits<float>::infinity());
      }
      for (const Part &p : c.parts) {
        auto [partOut, partLse] = attend(c, p, query, key, value);
        at::Tensor merged = rowsOf(out, c, p), mergedLse = rowsOf(lse, c, p);
        if (isCovered && &p == &c.parts[0]) {
          merged.copy_(partOut);
          mergedLse.copy_(partLse);
        } else {
          at::Tensor sum = at::logaddexp(mergedLse, partLse);
          merged.mul_((mergedLse - sum).exp_().unsqueeze(-1)).addcmul_(partOut, (partLse - sum).exp_().unsqueeze(-1));
          mergedLse.copy_(sum);
        }
      }
    });
    out = out.to(query.scalar_type());
    context->save_for_backward({query, key, value, out, lse});
    context->saved_data["parts"] = parts;
    return out;
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    at::Tensor query = saved[0], key = saved[1], value = saved[2], out = saved[3], lse = saved[4];
    at::Tensor grad = gradients[0].contiguous();
    auto parts = context->saved_data["parts"].toIntVector();
    at::Tensor dQuery = at::zeros_like(query), dKey = at::zeros_like(key), dValue = at::zeros_like(value);
    forClusters(parts, [&](const Cluster &c) {
      for (const Part &p : c.parts) {
        at::Tensor g = rowsOf(grad, c, p), q = rowsOf(query, c, p), o = rowsOf(out, c, p), l = rowsOf(lse, c, p);
        at::Tensor k = slotsOf(key, c, p), v = slotsOf(value, c, p), dq, dk, dv;
        if (p.block == -1) {
          double scale = scaleOf(query);
          at::Tensor chance = ((q * k).sum(-1, false, at::kFloat) * scale - l).exp_().to(q.scalar_type()).unsqueeze(-1);
          at::Tensor dScore = chance * ((v - o) * g).sum(-1, /*keepdim=*/true) * scale;
          dq = dScore * k;
          dk = dScore * q;
          dv = chance * g;
        } else if (p.block < 0) {
          int64_t b = -p.block;
          auto of = [&](const at::Tensor &x) { return intoBlocks(x, b); };
          std::tie(dq, dk, dv) = at::_scaled_dot_product_flash_attention_for_cpu_backward(
              of(g), of(q), of(k), of(v), of(o), of(l.unsqueeze(-1)).squeeze(-1), 0, false);
          for (at::Tensor *x : {&dq, &dk, &dv}) *x = fromBlocks(*x, c.sequences);
        } else {
          std::tie(dq, dk, dv) = at::_scaled_dot_product_flash_attention_for_cpu_backward(
              g, q, k, v, o, l, 0, p.block == 1, bias(p, query));
        }
        rowsOf(dQuery, c, p).add_(dq);
        slotsOf(dKey, c, p).add_(dk);
        slotsOf(dValue, c, p).add_(dv);
      }
    });
    return {dQuery, dKey, dValue, {}};
  }
};

// ---- the parts of a cluster side by side, for devices without the kernels above ----

at::Tensor sideBySide(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,
                      const std::vector<Cluster> &all) {
  std::vector<at::Tensor> results;
  for (const Cluster &c : all) {
    std::vector<at::Tensor> keys, values, masks;
    for (const Part &p : c.parts) {
      keys.push_back(slotsOf(key, c, p));
      values.push_back(slotsOf(value, c, p));
      if (c.parts.size() == 1) continue;
      at::Tensor mask = at::zeros({c.rows, p.slots}, query.options().dtype(at::kBool));
      mask.narrow(0, p.query - c.query, p.rows).copy_(allowed(p, query.device()));
      masks.push_back(mask);
    }
    const Part &first = c.parts[0];
    bool causal = masks.empty() && first.block == 1 && first.rows == first.slots;
    if (masks.empty() && first.block != 0 && !causal) masks.push_back(allowed(first, query.device()));
    auto mask = masks.empty() ? std::nullopt : std::optional(at::cat(masks, 1));
    at::Tensor out = at::scaled_dot_product_attention(view(query, c.query, c.rows, c.sequences, c.stride),
                                                      at::cat(keys, 2), at::cat(values, 2), mask, 0, causal);
    results.push_back(out.transpose(1, 2).flatten(0, 1));
  }
  return at::cat(results);
}
} // namespace

CTStatus ct_part_attention(const CTTensor *query, const CTTensor *key, const CTTensor *value, const int64_t *parts,
                           int64_t count, bool fused, CTTensor **out) {
  return produce(out, [&] {
    at::Tensor q = unwrap(query).contiguous(), k = unwrap(key).contiguous(), v = unwrap(value).contiguous();
    TORCH_CHECK(q.dim() == 3 && k.dim() == 3 && q.sizes().slice(1) == k.sizes().slice(1) && k.sizes() == v.sizes(),
                "queries ", q.sizes(), ", keys ", k.sizes(), " and values ", v.sizes(), " do not fit");
    for (int64_t i = 0; i < count; i++) {
      const int64_t *n = parts + 5 * i;
      TORCH_CHECK(n[0] >= 0 && n[1] >= 0 && n[0] + n[1] <= q.size(0) && n[2] >= 0 && n[3] >= 0 &&
                      n[2] + n[3] <= k.size(0),
                  "a part reaches beyond the rows or keys");
    }
    auto all = clusters(parts, count);
    if (all.empty()) return at::zeros_like(q);
    // A single part that is plain attention needs no merging, so libtorch's own function is as good.
    bool plain = all.size() == 1 && all[0].parts.size() == 1 && (all[0].parts[0].block | 1) == 1;
    if (plain || !fused) return sideBySide(q, k, v, all);
    return PartAttention::apply(q, k, v, std::vector<int64_t>(parts, parts + 5 * count));
  });
}
