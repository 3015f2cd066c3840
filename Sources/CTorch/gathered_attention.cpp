// Attention of a network with a KV cache made of libtorch's operations, for devices other than the CPU. There a small
// operation takes longer to ask for than to compute, so their number does not depend on how many sequences there are.
#include "boundary.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <array>
#include <limits>

using namespace ctorch;

namespace {
struct Rows {
  at::Tensor query, key, value; // [rows, heads, size]
  at::Tensor both;              // [2, rows, heads, size], where keys and values go elsewhere
  at::Tensor pages;             // [pages, blocks, 2, heads, slots, size]
  int64_t block;
  int64_t heads() const { return key.size(1); }
  int64_t size() const { return key.size(2); }
};

// Keys and values in one tensor, [2, rows, heads, size]; the rotation leaves them side by side.
at::Tensor together(const at::Tensor &key, const at::Tensor &value) {
  if (!value.is_alias_of(key) || value.storage_offset() != key.storage_offset() + key.numel())
    return at::stack({key, value});
  return key.as_strided({2, key.size(0), key.size(1), key.size(2)},
                        {key.numel(), key.stride(0), key.stride(1), key.stride(2)});
}

// Keys and values of a group, [2, n, heads, s, size]: what is stored, and the new ones behind it.
at::Tensor gathered(const Rows &rows, const CTGather &group) {
  int64_t size = rows.size();
  std::array<int64_t, 5> shape{2, group.sequences, rows.heads(), group.slots, size};
  at::Tensor all = group.pageRows ? rows.pages.view({-1, rows.pages.size(4) * size})
                                        .index_select(0, unwrap(group.pageRows).select(0, rows.block))
                                        .to(rows.key.scalar_type())
                                  : at::zeros(shape, rows.key.options());
  at::Tensor own = group.keyRows ? rows.both.index_select(1, unwrap(group.keyRows)) : rows.both;
  all = all.view({-1, size}).index_copy_(0, unwrap(group.keyPlaces), own.view({-1, size}));
  return all.view(shape);
}

// [n·q, heads, size]
at::Tensor attend(const Rows &rows, const CTGather &group) {
  auto inSequences = [&](const at::Tensor &x, int64_t count) {
    return x.view({group.sequences, count, rows.heads(), rows.size()}).transpose(1, 2);
  };
  at::Tensor query = group.queryRows ? rows.query.index_select(0, unwrap(group.queryRows)) : rows.query, key, value;
  if (group.keyPlaces) {
    at::Tensor both = gathered(rows, group);
    key = both.select(0, 0);
    value = both.select(0, 1);
  } else {
    key = inSequences(rows.key, group.slots);
    value = inSequences(rows.value, group.slots);
  }
  auto bias = group.bias ? std::optional(unwrap(group.bias)) : std::nullopt;
  return at::scaled_dot_product_attention(inSequences(query, group.queries), key, value, bias, /*dropout_p=*/0,
                                          group.isCausal)
      .transpose(1, 2)
      .reshape({group.sequences * group.queries, rows.heads(), rows.size()});
}
} // namespace

CTStatus ct_gathered_attention(const CTTensor *query, const CTTensor *key, const CTTensor *value,
                               const CTGather *groups, int64_t count, const CTTensor *resultRows,
                               const CTTensor *pages, const CTTensor *keptRows, const CTTensor *keptPlaces,
                               int64_t block, CTTensor **out) {
  return produce(out, [&] {
    Rows rows{unwrap(query).contiguous(), unwrap(key).contiguous(), unwrap(value).contiguous(), {}, optional(pages),
              block};
    bool moves = keptPlaces;
    for (int64_t i = 0; i < count; i++) moves |= groups[i].keyPlaces != nullptr;
    if (moves) rows.both = together(rows.key, rows.value);
    if (keptPlaces) {
      at::Tensor kept = keptRows ? rows.both.index_select(1, unwrap(keptRows)) : rows.both;
      rows.pages.view({-1, rows.size()})
          .index_copy_(0, unwrap(keptPlaces).select(0, block), kept.to(rows.pages.scalar_type()).view({-1, rows.size()}));
    }
    std::vector<at::Tensor> results;
    for (int64_t i = 0; i < count; i++) results.push_back(attend(rows, groups[i]));
    if (results.empty()) return at::zeros_like(rows.query);
    at::Tensor all = results.size() == 1 ? results[0] : at::cat(results);
    return resultRows ? all.index_select(0, unwrap(resultRows)) : all;
  });
}

CTStatus ct_visibility_bias(const CTTensor *visible, const CTTensor *lone, int64_t slots, CTTensor **out) {
  return produce(out, [&] {
    const at::Tensor &v = unwrap(visible);
    at::Tensor slot = at::arange(slots, v.options()), isHidden = slot >= v.unsqueeze(-1);
    if (lone) isHidden = isHidden.logical_and_(slot != unwrap(lone).unsqueeze(-1));
    return at::zeros({v.size(0), v.size(1), slots}, v.options().dtype(at::kFloat))
        .masked_fill_(isHidden, -std::numeric_limits<double>::infinity())
        .unsqueeze(1);
  });
}

CTStatus ct_whole(CTTensor *const *parts, int64_t count, int64_t *places, CTTensor **whole) {
  return produce(whole, [&] {
    const at::Tensor &first = unwrap(parts[0]);
    int64_t size = first.numel(), all = first.storage().nbytes() / first.element_size() / size;
    for (int64_t i = 0; i < count; i++) {
      const at::Tensor &part = unwrap(parts[i]);
      TORCH_CHECK(part.is_contiguous() && part.sizes() == first.sizes() && part.is_alias_of(first) &&
                      part.storage_offset() % size == 0,
                  "the tensors are not parts of one");
      places[i] = part.storage_offset() / size;
    }
    auto shape = first.sizes().vec(), strides = first.strides().vec();
    shape.insert(shape.begin(), all);
    strides.insert(strides.begin(), size);
    return first.as_strided(shape, strides, 0);
  });
}
