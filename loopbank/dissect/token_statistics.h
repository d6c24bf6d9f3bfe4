#pragma once
/// Means and spreads over tokens, accumulated batch by batch in fp64.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace loopbank {

/// Mean and standard deviation of K quantities over tokens.
///
/// Batches are merged by their means and sums of squared deviations (Chan, Golub and LeVeque 1979),
/// so that a quantity that is the same for every token has a spread of 0.
class TokenMoments {
 public:
  /// @param values  [K, ...] every token's values, on any device; K as in the first call
  void add(const at::Tensor& values);

  /// [K]; empty before the first call.
  [[nodiscard]] std::vector<double> mean() const;
  /// [K], of these tokens themselves, not an estimate for a population.
  [[nodiscard]] std::vector<double> spread() const;

 private:
  double tokens_ = 0.0;
  at::Tensor mean_;                // [K]
  at::Tensor squared_deviations_;  // [K]
};

/// Means of K quantities by token class.
class ClassMeans {
 public:
  explicit ClassMeans(int64_t num_classes);

  /// @param values   [K, n] on the CPU
  /// @param classes  [n] int64 in [0, num_classes)
  void add(const at::Tensor& values, const at::Tensor& classes);

  /// Tokens of a class so far.
  [[nodiscard]] int64_t count(int64_t token_class) const;
  /// [K], for a class that has tokens.
  [[nodiscard]] std::vector<double> mean(int64_t token_class) const;

 private:
  at::Tensor counts_;  // [C] int64
  at::Tensor sums_;    // [K, C] fp64; undefined before the first call
};

}  // namespace loopbank
