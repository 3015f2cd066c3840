#include "panels.h"

#include "boundary.h"
#include "matrix.h"
#include "parallel.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <vector>

using namespace ctorch;

namespace {
at::ScalarType type(CTPrecision precision) {
  return precision == CTFloat32Weights ? at::kFloat : precision == CTBFloat16Weights ? at::kBFloat16 : at::kChar;
}

// Calls body(output, input, where the number lies) for all numbers of a panel, in the order of memory.
template <typename Number, typename Body>
void forPanel(CTPrecision precision, Number *numbers, int64_t outputs, int64_t inputs, int64_t panel,
              const Body &body) {
  int64_t size = groupSize(precision), width = panelWidth(outputs, panel), first = panel * panelOutputs;
  Number *at = numbers + panelOffset(precision, inputs, panel) / int64_t(sizeof(Number));
  for (int64_t i = 0; i < inputs; i += size)
    for (int64_t n = 0; n < width; n++, at += size)
      for (int64_t k = 0; k < size && first + n < outputs && i + k < inputs; k++) body(first + n, i + k, at + k);
}
} // namespace

int64_t ct_panel_size(CTPrecision precision, int64_t outputs, int64_t inputs) {
  return panelBytes(precision, outputs, inputs) / numberSize(precision);
}

CTStatus ct_pack(const CTTensor *weight, CTPrecision precision, CTTensor **panels, CTTensor **scales) {
  return guarded([&] {
    at::Tensor w = unwrap(weight).contiguous();
    TORCH_CHECK(w.dim() == 2 && w.scalar_type() == at::kFloat && w.is_cpu(), "a float32 matrix on the CPU");
    int64_t outputs = w.size(0), inputs = w.size(1);
    at::Tensor result = at::zeros({ct_panel_size(precision, outputs, inputs)}, w.options().dtype(type(precision)));
    at::Tensor scale = precision == CTInt8Weights ? at::empty({outputs}, w.options()) : at::Tensor();
    const float *from = elements<float>(w);
    float *scaleOf = scale.defined() ? scale.mutable_data_ptr<float>() : nullptr;
    void *to = result.mutable_data_ptr();
    parallelFor(panelCount(outputs), 1, [&](int64_t begin, int64_t end) {
      for (int64_t panel = begin; panel < end; panel++) {
        auto fill = [&](auto *numbers, const auto &number) {
          forPanel(precision, numbers, outputs, inputs, panel,
                   [&](int64_t n, int64_t i, auto *at) { *at = number(n, i); });
        };
        if (precision == CTFloat32Weights) {
          fill(static_cast<float *>(to), [&](int64_t n, int64_t i) { return from[n * inputs + i]; });
        } else if (precision == CTBFloat16Weights) {
          fill(static_cast<BFloat16 *>(to), [&](int64_t n, int64_t i) { return rounded(from[n * inputs + i]); });
        } else {
          int64_t first = panel * panelOutputs, count = std::min(panelOutputs, outputs - first);
          std::vector<uint8_t> above(count * inputs);
          for (int64_t n = 0; n < count; n++)
            quantise(from + (first + n) * inputs, inputs, above.data() + n * inputs, scaleOf + first + n);
          fill(static_cast<int8_t *>(to),
               [&](int64_t n, int64_t i) { return int8_t(above[(n - first) * inputs + i] - 128); });
        }
      }
    });
    *panels = wrap(result);
    *scales = scale.defined() ? wrap(scale) : nullptr;
  });
}

CTStatus ct_panel_sums(const CTTensor *panels, int64_t outputs, int64_t inputs, CTTensor **sums) {
  return produce(sums, [&] {
    const at::Tensor &p = unwrap(panels);
    TORCH_CHECK(p.scalar_type() == at::kChar && p.is_contiguous() && p.is_cpu() &&
                    p.numel() == ct_panel_size(CTInt8Weights, outputs, inputs),
                "panels of int8");
    at::Tensor result = at::zeros({outputs}, p.options().dtype(at::kInt));
    auto to = result.mutable_data_ptr<int32_t>();
    for (int64_t panel = 0; panel < panelCount(outputs); panel++)
      forPanel(CTInt8Weights, elements<int8_t>(p), outputs, inputs, panel,
               [&](int64_t n, int64_t, const int8_t *at) { to[n] += *at; });
    return result;
  });
}

CTStatus ct_unpack(const CTMatrix *weight, CTTensor **out) {
  return produce(out, [&] {
    at::Tensor result = at::empty({weight->outputs, weight->inputs}, at::kFloat);
    float *to = result.mutable_data_ptr<float>();
    for (int64_t panel = 0; panel < panelCount(weight->outputs); panel++) {
      auto read = [&](const auto *numbers, const auto &number) {
        forPanel(weight->precision, numbers, weight->outputs, weight->inputs, panel,
                 [&](int64_t n, int64_t i, auto *at) { to[n * weight->inputs + i] = number(n, *at); });
      };
      if (weight->precision == CTFloat32Weights)
        read(static_cast<const float *>(weight->panels), [](int64_t, float x) { return x; });
      else if (weight->precision == CTBFloat16Weights)
        read(static_cast<const BFloat16 *>(weight->panels), [](int64_t, BFloat16 x) { return widened(x); });
      else
        read(static_cast<const int8_t *>(weight->panels),
             [&](int64_t n, int8_t x) { return float(x) * weight->scales[n]; });
    }
    return result;
  });
}
