// Draws tokens on the device that computed their logits, so that a few numbers a row leave it and not the vocabulary. The
// rules are those of `Cutoff` and `TokenPicker` in Swift, which do it on the CPU.
#include "boundary.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <limits>

using namespace ctorch;

namespace {
enum Column { Factor, TopP, TopK, Uniform, Asked, Columns };

// Each a number a row, [rows, 1], on the CPU for decisions and on the device for computing.
struct Draws {
  at::Tensor host, columns;
  at::Tensor operator[](Column column) const { return columns.select(0, column).unsqueeze(1); }
  at::Tensor onHost(Column column) const { return host.select(0, column); }
};

// Zeroes what top-k and the nucleus leave out: sorted by falling probability, equal ones by rising id, the likeliest k
// and those that tie with the last of them, and of these the fewest that reach top-p of all of theirs.
at::Tensor filtered(const at::Tensor &chances, const Draws &draws) {
  int64_t size = chances.size(1);
  auto [sorted, ids] = chances.sort(/*stable=*/true, 1, /*descending=*/true);
  at::Tensor k = draws[TopK], isLimited = (k > 0).logical_and(k < double(size));
  at::Tensor limit = at::where(isLimited, k, double(size)).to(at::kLong);
  at::Tensor isIn = sorted >= sorted.gather(1, limit - 1);
  at::Tensor sums = sorted.to(at::kDouble).mul_(isIn).cumsum(1);
  at::Tensor whole = at::where(isLimited, sums.narrow(1, size - 1, 1), 1.0);
  at::Tensor all = isIn.sum(1, /*keepdim=*/true), isNucleus = draws[TopP] < 1;
  at::Tensor fewest = at::minimum((sums < draws[TopP] * whole).sum(1, /*keepdim=*/true) + 1, all);
  at::Tensor last = at::where(isNucleus, fewest, all);
  last = at::where(draws[Factor] == 0, at::ones_like(last), last) - 1;
  at::Tensor least = sorted.gather(1, last), id = ids.gather(1, last);
  at::Tensor own = at::arange(size, ids.options()).unsqueeze(0);
  at::Tensor isKept = (chances > least).logical_or((chances == least).logical_and(own <= id));
  return chances * isKept;
}

at::Tensor pick(const at::Tensor &logits, const Draws &draws, int64_t excluded, int64_t alternatives) {
  auto withoutExcluded = [&](const at::Tensor &x) {
    if (excluded >= 0) x.select(1, excluded).fill_(-std::numeric_limits<float>::infinity());
    return x;
  };
  at::Tensor model = logits.log_softmax(1), factor = draws.onHost(Factor);
  bool isPlain = (factor == 1).logical_or(factor == 0).all().item<bool>();
  at::Tensor own = logits.softmax(1);
  // Temperature 0 takes the likeliest by the logits as they are.
  at::Tensor chances =
      isPlain ? own
              : withoutExcluded(logits * at::where(draws[Factor] == 0, 1.0, draws[Factor]).to(at::kFloat)).softmax(1);
  bool isFiltered = (factor == 0)
                        .logical_or(draws.onHost(TopP) < 1)
                        .logical_or((draws.onHost(TopK) > 0).logical_and(draws.onHost(TopK) < double(logits.size(1))))
                        .any()
                        .item<bool>();
  if (isFiltered) chances = filtered(chances, draws);
  // By rising id: rounding that swaps two nearly equal tokens leaves the others where they were.
  at::Tensor sums = chances.to(at::kDouble).cumsum(1), mass = sums.narrow(1, sums.size(1) - 1, 1);
  at::Tensor drawn = at::minimum(at::searchsorted(sums, draws[Uniform] * mass, /*out_int32=*/false, /*right=*/true),
                                 at::searchsorted(sums, mass.contiguous()));
  // Rows without numbers find no place.
  drawn = drawn.clamp(0, logits.size(1) - 1);
  at::Tensor asked = draws[Asked].to(at::kLong), token = at::where(asked >= 0, asked, drawn);
  std::vector<at::Tensor> found = {token.to(at::kDouble), chances.gather(1, token).to(at::kDouble) / mass,
                                   model.gather(1, token).to(at::kDouble)};
  if (alternatives > 0) {
    // Logarithms of nearly equal probabilities are equal.
    at::Tensor likeliest = std::get<1>(own.sort(/*stable=*/true, 1, /*descending=*/true)).narrow(1, 0, alternatives);
    found.push_back(likeliest.to(at::kDouble));
    found.push_back(model.gather(1, likeliest).to(at::kDouble));
  }
  return at::cat(found, 1);
}
} // namespace

CTStatus ct_pick(const CTTensor *logits, const double *draws, int64_t excluded, int64_t alternatives, CTTensor **out) {
  return produce(out, [&] {
    const at::Tensor &all = unwrap(logits);
    int64_t rows = all.size(0), size = all.size(1);
    at::Tensor host = at::empty({Columns, rows}, at::kDouble);
    std::copy_n(draws, Columns * rows, host.mutable_data_ptr<double>());
    at::Tensor columns = host.to(all.device(), /*non_blocking=*/all.is_cuda());
    if (excluded >= 0) all.select(1, excluded).fill_(-std::numeric_limits<float>::infinity());
    // Sorting and adding up take some dozen bytes a logit: so many are done at a time.
    int64_t chunk = std::max<int64_t>(1, (int64_t(1) << 24) / size);
    std::vector<at::Tensor> found;
    for (int64_t start = 0; start < rows; start += chunk) {
      int64_t count = std::min(chunk, rows - start);
      found.push_back(pick(all.narrow(0, start, count),
                           {host.narrow(1, start, count), columns.narrow(1, start, count)}, excluded,
                           std::min(alternatives, size)));
    }
    return at::cat(found);
  });
}
