// Products of a few rows, or of many, with packed weights in one of three precisions.
#pragma once

#include "ctorch.h"
#include "widest.h"

#include <cstdint>

namespace ctorch {

// What is multiplied with a weight: [count, inputs] in float32; with an int8 weight its rows quantised.
struct Activations {
  const float *rows;
  int64_t stride; // numbers from one row to the next
  const uint8_t *bytes;
  int64_t byteStride;
  const float *scales;
  int64_t count;
};

// Where a product goes, [rows, outputs].
struct ProductTarget {
  float *rows;
  int64_t stride;
  bool adds; // to what is there, instead of replacing it
  bool gelu;
};

// Computes x · weightᵀ + bias for all rows and the outputs of panels begin ..< end.
//
// Every number is the sum of its products in one order, which depends on nothing but the number of inputs: a row comes
// out the same bit for bit among any others, on any number of threads, and, in int8, on any processor.
void multiply(const CTMatrix &weight, const Activations &x, int64_t begin, int64_t end, const ProductTarget &out,
              CTInstructions most = CTAVX512);

// How many panels a thread should take at a time.
int64_t panelsAtOnce(const CTMatrix &weight, int64_t threads);

// Bytes of a quantised row of so many numbers.
constexpr int64_t quantisedStride(int64_t inputs) { return (inputs + 63) / 64 * 64; }

// A row as bytes: byte − 128 times the scale is the number, but for rounding. What is no number makes the scale none.
WIDEST void quantise(const float *row, int64_t count, uint8_t *bytes, float *scale);

} // namespace ctorch
