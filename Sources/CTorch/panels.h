// How weights lie in memory for products: in panels of 64 outputs, the last one of as many sixteens as are left. A panel
// goes through the inputs in groups of 32 bits – one float32, two bf16 or four int8 – and for each group it holds that of
// every output, one behind the other. So a product reads weights from front to back, each group once, meets a group of a
// row's own numbers with it in all outputs at once, and has no sums to add up across a register at its end.
//
// What fills up the last sixteen outputs and the last group is zero.
#pragma once

#include "ctorch.h"
#include "lanes.h"

namespace ctorch {

constexpr int64_t panelOutputs = 64;
constexpr int64_t groupBytes = 4;

constexpr int64_t numberSize(CTPrecision precision) {
  return precision == CTFloat32Weights ? 4 : precision == CTBFloat16Weights ? 2 : 1;
}
// Numbers of a group, and the groups of so many inputs.
constexpr int64_t groupSize(CTPrecision precision) { return groupBytes / numberSize(precision); }
constexpr int64_t groupCount(CTPrecision precision, int64_t inputs) {
  return (inputs + groupSize(precision) - 1) / groupSize(precision);
}
constexpr int64_t panelCount(int64_t outputs) { return (outputs + panelOutputs - 1) / panelOutputs; }
// The outputs of a panel, those that fill it up among them.
constexpr int64_t panelWidth(int64_t outputs, int64_t panel) {
  return std::min(panelOutputs, (outputs - panel * panelOutputs + lanes - 1) / lanes * lanes);
}
// Bytes of all panels before one.
constexpr int64_t panelOffset(CTPrecision precision, int64_t inputs, int64_t panel) {
  return panel * panelOutputs * groupCount(precision, inputs) * groupBytes;
}
constexpr int64_t panelBytes(CTPrecision precision, int64_t outputs, int64_t inputs) {
  return (outputs + lanes - 1) / lanes * lanes * groupCount(precision, inputs) * groupBytes;
}

} // namespace ctorch
