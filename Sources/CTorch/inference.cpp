// Calls of a network that writes, as one translation unit: libtorch's headers cost a compiler more than all of it.
#include "cached_attention.cpp"
#include "decoding.cpp"
#include "gathered_attention.cpp"
#include "matrix.cpp"
#include "panels.cpp"
#include "picking.cpp"
#include "ragged_attention.cpp"
