// Operations with gradients, as one translation unit: the headers of autograd's functions cost a compiler more than all
// of it, and each file anew.
#include "activations.cpp"
#include "dropout.cpp"
#include "linear.cpp"
#include "linear_nll.cpp"
#include "part_attention.cpp"
#include "recompute.cpp"
#include "rotary.cpp"
#include "transpose.cpp"
