// Operations with gradients and what is done with these, as one translation unit: the headers of autograd cost a
// compiler more than all of it, and each file anew.
#include "activations.cpp"
#include "autograd.cpp"
#include "dropout.cpp"
#include "linear.cpp"
#include "linear_nll.cpp"
#include "nccl.cpp"
#include "optimizer.cpp"
#include "part_attention.cpp"
#include "recompute.cpp"
#include "rotary.cpp"
#include "transpose.cpp"
