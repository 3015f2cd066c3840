// Attention of a network with a KV cache, on the CPU: sequences of different length, each with its new rows and its pages.
#pragma once

#include "ctorch.h"

#include <vector>

namespace ctorch {

// Rows of numbers: where they start and how far one is from the next.
struct FloatRows {
  float *first;
  int64_t stride;
  float *operator[](int64_t row) const { return first + row * stride; }
};

// Where the pages of a call lie, which are all alike, float32 or bfloat16, on the CPU.
struct CachedPages {
  std::vector<void *> data;
  int64_t slots = 1;
  bool isHalf = false;

  CachedPages(CTTensor *const *pages, int64_t count);
};

// The attention of one block.
struct CachedAttention {
  FloatRows query, key, value, out; // [rows, heads · size], all sequences' one after another
  int64_t heads, size;
  const int64_t *visible;   // how many slots of its sequence, the first ones, each row of the query sees
  const int64_t *lone;      // and the slot among the new ones that it sees besides, or −1; NULL: none does
  void *const *pages;       // each [blocks, 2, heads, pageSlots, size], keys then values
  int64_t pageSlots, block;
  bool isHalf;              // whether pages hold bfloat16 instead of float32

  // Copies the new rows that a sequence keeps into its pages.
  void keep(const CTSequenceRows &sequence) const;

  // Computes one head of a sequence. A row is computed alike whichever others share the call.
  void attend(const CTSequenceRows &sequence, int64_t head) const;

private:
  char *page(const CTSequenceRows &sequence, int64_t number, int64_t kind, int64_t head) const;
};

} // namespace ctorch
