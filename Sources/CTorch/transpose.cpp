// Turns a matrix, on all threads and in squares that fit into registers: libtorch's copy does it on one.
#include "products.h"

#include "lanes.h"
#include "parallel.h"
#include "widest.h"

#include <ATen/ops/empty.h>
#include <utility>

using namespace ctorch;

namespace {
// Exchanges the numbers off the diagonal of 2 × 2 squares, in which rows and columns are `step` apart.
template <int step, int... place>
INLINED void exchange(Lanes &upper, Lanes &lower, std::integer_sequence<int, place...>) {
  Lanes first = __builtin_shufflevector(upper, lower, (place & step ? lanes + place - step : place)...);
  lower = __builtin_shufflevector(upper, lower, (place & step ? lanes + place : place + step)...);
  upper = first;
}
template <int step> INLINED void exchange(Lanes (&rows)[lanes]) {
  UNROLLED for (int i = 0; i < lanes; i++)
    if (!(i & step)) exchange<step>(rows[i], rows[i + step], std::make_integer_sequence<int, lanes>());
}

// Rows begin ..< end of x [rows, columns] as columns of `out`.
INLINED void turnSquares(float *out, const float *x, int64_t rows, int64_t columns, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; r += lanes)
    for (int64_t c = 0; c < columns; c += lanes) {
      if (r + lanes > end || c + lanes > columns) {
        for (int64_t i = r; i < std::min(r + lanes, end); i++)
          for (int64_t j = c; j < std::min(c + lanes, columns); j++) out[j * rows + i] = x[i * columns + j];
        continue;
      }
      Lanes square[lanes];
      UNROLLED for (int i = 0; i < lanes; i++) square[i] = load(x + (r + i) * columns + c);
      exchange<8>(square);
      exchange<4>(square);
      exchange<2>(square);
      exchange<1>(square);
      UNROLLED for (int i = 0; i < lanes; i++) store(square[i], out + (c + i) * rows + r);
    }
}
WIDEST void turnSome(float *out, const float *x, int64_t rows, int64_t columns, int64_t begin, int64_t end) {
  turnSquares(out, x, rows, columns, begin, end);
}
} // namespace

at::Tensor ctorch::transposed(const at::Tensor &x) {
  at::Tensor source = x.contiguous();
  int64_t rows = source.size(0), columns = source.size(1);
  at::Tensor out = at::empty({columns, rows}, source.options());
  auto *to = static_cast<float *>(out.mutable_data_ptr());
  auto *from = static_cast<const float *>(source.const_data_ptr());
  int64_t grain = std::max<int64_t>(1, (1 << 14) / (lanes * std::max<int64_t>(columns, 1))) * lanes;
  parallelFor(rows, grain, [&](int64_t begin, int64_t end) { turnSome(to, from, rows, columns, begin, end); });
  return out;
}
