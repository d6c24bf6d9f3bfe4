#pragma once
/// torch::autograd::Function for the fused operations, without GCC 14's false alarm about it.
///
/// Function::apply() reserves one bit an argument in a vector<bool> that is still empty. The
/// library then copies the old elements, none; at -O3 GCC 14 takes that for a copy past their end.
/// Its place is in LibTorch's header, inlined into nothing of ours, so the two warnings are off
/// while that header is read and on for our code. Sources include this header and never
/// <torch/csrc/autograd/custom_function.h>.

#pragma GCC diagnostic push
#ifndef __clang__
#pragma GCC diagnostic ignored "-Warray-bounds"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#endif
#include <torch/csrc/autograd/custom_function.h>
#pragma GCC diagnostic pop
