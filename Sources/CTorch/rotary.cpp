// Splits the output of the qkv projection and turns queries and keys by their positions, in one pass over memory.
//
// qkv [rows, 3·heads·size] -> query, key, value [rows, heads, size]. Row r is turned by the angles of position
// positions[r]: with x = (x₁, x₂) the halves of a head, (x₁, x₂) becomes (x₁cos − x₂sin, x₂cos + x₁sin). The backward
// pass turns by the opposite angle and puts the three gradients side by side again.
#include "boundary.h"
#include "lanes.h"
#include "parallel.h"
#include "widest.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

using namespace ctorch;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {
using Tensors = std::array<at::Tensor, 3>;

// Turns x [n, rows, heads, size] into `out`, which is contiguous, in three of libtorch's operations; sign is −1 to turn back.
void turn(const at::Tensor &x, const at::Tensor &cosine, const at::Tensor &sine, const at::Tensor &positions, int sign,
          const at::Tensor &out) {
  int64_t half = x.size(-1) / 2;
  auto angles = [&](const at::Tensor &table) {
    return table.index_select(0, positions).to(x.scalar_type()).view({-1, 1, half});
  };
  at::Tensor from = x.unflatten(-1, {2, half}), to = out.view(from.sizes()), c = angles(cosine), s = angles(sine);
  at::mul_out(to, from, c.unsqueeze(1));
  to.select(-2, 0).addcmul_(from.select(-2, 1), s, -sign);
  to.select(-2, 1).addcmul_(from.select(-2, 0), s, sign);
}

// Turns the heads of a row, x to y, which do not overlap; sign is −1 to turn back.
template <typename Number>
INLINED void turnHeads(const Number *__restrict x, Number *__restrict y, const float *cosine, const float *sine,
                  int64_t width, int64_t half, float sign) {
  for (int64_t h = 0; h < width; h += 2 * half)
    for (int64_t i = 0; i < half; i++) {
      float a = x[h + i], b = x[h + i + half], s = sign * sine[i];
      y[h + i] = a * cosine[i] - b * s;
      y[h + i + half] = b * cosine[i] + a * s;
    }
}
WIDEST void turnRow(const float *x, float *y, const float *cosine, const float *sine, int64_t width, int64_t half,
                    float sign) {
  turnHeads(x, y, cosine, sine, width, half, sign);
}
void turnRow(const at::BFloat16 *x, at::BFloat16 *y, const float *cosine, const float *sine, int64_t width,
             int64_t half, float sign) {
  turnHeads(x, y, cosine, sine, width, half, sign);
}

// Moves rows between the packed [rows, 3, heads, size] and the three split [rows, heads, size] forms.
template <typename Row> void forRows(int64_t rows, int64_t width, Row row) {
  parallelFor(rows, 16384 / width, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) row(r);
  });
}

bool plain(const at::Tensor &x, const at::Tensor &positions) {
  return x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) &&
         positions.is_contiguous();
}

template <typename Number>
Tensors splitRows(const at::Tensor &packed, const at::Tensor &cosine, const at::Tensor &sine,
                  const at::Tensor &positions, int64_t heads);

Tensors split(const at::Tensor &packed, const at::Tensor &cosine, const at::Tensor &sine, const at::Tensor &positions,
              int64_t heads) {
  int64_t rows = packed.size(0), width = packed.size(1) / 3, size = width / heads;
  if (!plain(packed, positions)) {
    at::Tensor parts = packed.view({rows, 3, heads, size}).transpose(0, 1);
    at::Tensor all = at::empty({3, rows, heads, size}, packed.options());
    turn(parts.narrow(0, 0, 2), cosine, sine, positions, 1, all.narrow(0, 0, 2));
    all.select(0, 2).copy_(parts.select(0, 2));
    return {all.select(0, 0), all.select(0, 1), all.select(0, 2)};
  }
  return packed.scalar_type() == at::kFloat ? splitRows<float>(packed, cosine, sine, positions, heads)
                                            : splitRows<at::BFloat16>(packed, cosine, sine, positions, heads);
}

template <typename Number>
Tensors splitRows(const at::Tensor &packed, const at::Tensor &cosine, const at::Tensor &sine,
                  const at::Tensor &positions, int64_t heads) {
  int64_t rows = packed.size(0), width = packed.size(1) / 3, size = width / heads, half = size / 2;
  at::Tensor source = packed.contiguous();
  auto shape = {rows, heads, size};
  Tensors out = {at::empty(shape, packed.options()), at::empty(shape, packed.options()),
                 at::empty(shape, packed.options())};
  const Number *from = elements<Number>(source);
  const float *cosines = elements<float>(cosine), *sines = elements<float>(sine);
  const int64_t *position = elements<int64_t>(positions), table = std::min(cosine.size(0), sine.size(0));
  Number *query = out[0].data_ptr<Number>(), *key = out[1].data_ptr<Number>(), *value = out[2].data_ptr<Number>();
  forRows(rows, width, [&](int64_t r) {
    TORCH_CHECK(position[r] >= 0 && position[r] < table, "position ", position[r], " in a table of ", table);
    const float *c = cosines + position[r] * half, *s = sines + position[r] * half;
    const Number *x = from + r * 3 * width;
    turnRow(x, query + r * width, c, s, width, half, 1);
    turnRow(x + width, key + r * width, c, s, width, half, 1);
    std::memcpy(value + r * width, x + 2 * width, width * sizeof(Number));
  });
  return out;
}

template <typename Number>
at::Tensor joinedRows(const Tensors &gradients, const at::Tensor &cosine, const at::Tensor &sine,
                      const at::Tensor &positions) {
  int64_t rows = gradients[0].size(0), heads = gradients[0].size(1), size = gradients[0].size(2);
  int64_t width = heads * size, half = size / 2;
  Tensors dense = {gradients[0].contiguous(), gradients[1].contiguous(), gradients[2].contiguous()};
  at::Tensor out = at::empty({rows, 3 * width}, dense[0].options());
  const float *cosines = elements<float>(cosine), *sines = elements<float>(sine);
  const int64_t *position = elements<int64_t>(positions);
  const Number *query = elements<Number>(dense[0]), *key = elements<Number>(dense[1]);
  const Number *value = elements<Number>(dense[2]);
  Number *to = out.data_ptr<Number>();
  forRows(rows, width, [&](int64_t r) {
    const float *c = cosines + position[r] * half, *s = sines + position[r] * half;
    Number *y = to + r * 3 * width;
    turnRow(query + r * width, y, c, s, width, half, -1);
    turnRow(key + r * width, y + width, c, s, width, half, -1);
    std::memcpy(y + 2 * width, value + r * width, width * sizeof(Number));
  });
  return out;
}

at::Tensor joined(const Tensors &gradients, const at::Tensor &cosine, const at::Tensor &sine,
                  const at::Tensor &positions) {
  int64_t rows = gradients[0].size(0), heads = gradients[0].size(1), size = gradients[0].size(2), width = heads * size;
  if (!plain(gradients[0], positions)) {
    at::Tensor turned = at::empty({2, rows, heads, size}, gradients[0].options());
    turn(at::stack({gradients[0], gradients[1]}), cosine, sine, positions, -1, turned);
    return at::stack({turned.select(0, 0), turned.select(0, 1), gradients[2]}, 1).view({rows, 3 * width});
  }
  return gradients[0].scalar_type() == at::kFloat ? joinedRows<float>(gradients, cosine, sine, positions)
                                                  : joinedRows<at::BFloat16>(gradients, cosine, sine, positions);
}

struct SplitRotary : torch::autograd::Function<SplitRotary> {
  static variable_list forward(AutogradContext *context, at::Tensor qkv, at::Tensor cosine, at::Tensor sine,
                               at::Tensor positions, int64_t heads) {
    context->save_for_backward({cosine, sine, positions});
    context->saved_data["shape"] = std::vector<int64_t>{qkv.size(0), heads, qkv.size(1) / (3 * heads)};
    Tensors out = split(qkv, cosine, sine, positions, heads);
    return {out[0], out[1], out[2]};
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    auto shape = context->saved_data["shape"].toIntVector();
    Tensors dense;
    at::TensorOptions type = saved[0].options();
    for (const at::Tensor &gradient : gradients)
      if (gradient.defined()) type = gradient.options();
    for (int i = 0; i < 3; i++) {
      dense[i] = gradients[i].defined() ? gradients[i] : at::zeros(shape, type);
    }
    return {joined(dense, saved[0], saved[1], saved[2]), {}, {}, {}, {}};
  }
};
} // namespace

CTStatus ct_split_rotary(const CTTensor *qkv, const CTTensor *cosine, const CTTensor *sine, const CTTensor *positions,
                         int64_t heads, CTTensor **query, CTTensor **key, CTTensor **value) {
  return guarded([&] {
    auto out = SplitRotary::apply(unwrap(qkv), unwrap(cosine), unwrap(sine), unwrap(positions), heads);
    *query = wrap(out[0]);
    *key = wrap(out[1]);
    *value = wrap(out[2]);
  });
}
