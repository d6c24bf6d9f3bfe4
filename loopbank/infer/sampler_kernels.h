#pragma once
/// What sampling does to every token of the vocabulary, as vector loops in fp64. A value does not
/// depend on its place in the row.

#include <cstddef>

namespace loopbank {

/// Whether all values are finite, and the largest of them.
struct RowScan {
  bool is_finite = true;
  float largest = 0.0F;
};
[[nodiscard]] RowScan scan_row(const float* logits, size_t count);

/// sum_i exp(x_i - shift), shift being the largest x_i: every term is at most 1.
[[nodiscard]] double sum_of_exponentials(const float* x, size_t count, double shift);

/// weights_i = exp((x_i - shift) scale) with x_i <= shift and scale >= 0; their sum.
double exponentials(const double* x, size_t count, double shift, double scale, double* weights);

}  // namespace loopbank
