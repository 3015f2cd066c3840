// The innermost loops of products: some rows by some outputs of a panel, kept in registers while the weights stream by.
#pragma once

#include "ctorch.h"

#include <cstdint>

namespace ctorch {

constexpr int64_t mostTileRows = 6;

// One tile over a part of the inputs. It adds to `sums`, [rows, panelOutputs], in float32 or for int8 in int32.
struct Tile {
  const void *x;     // rows in float32, or for int8 in bytes, from the part's first input on
  int64_t xStride;   // numbers from one row to the next
  const char *panel; // from the part's first group on
  int64_t step;      // bytes of the panel from one group to the next
  int64_t inputs;    // of the part
  void *sums;
  bool isFirst; // there is nothing in `sums` yet
  // What to ask memory for meanwhile, so many lines of 64 bytes at each group.
  const char *ahead;
  int64_t linesAhead;
};

// Tiles of 1 … `rows` rows, by `outputs` outputs and by 16.
struct TileKernel {
  int64_t rows, outputs;
  void (*wide[mostTileRows])(const Tile &), (*narrow[mostTileRows])(const Tile &);
};

// By the best instructions of the machine up to some.
const TileKernel &tileKernel(CTPrecision precision, CTInstructions most);

} // namespace ctorch
