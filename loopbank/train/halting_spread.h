#pragma once
/// How the halting of a validation is spread over its tokens: histograms of each adaptive layer.
///
///     halting_expected_loops/layer_l   tokens by n = sum_t t P_t, in kLoopBuckets buckets from 1 to N
///     halting_stops/layer_l            sum of P_t over the tokens, a bucket a loop
///
/// Layers that cannot loop twice have neither.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "loopbank/model/config.h"
#include "loopbank/model/recorder.h"
#include "loopbank/train/event_record.h"

namespace loopbank {

constexpr int64_t kLoopBuckets = 30;

class HaltingSpread {
 public:
  explicit HaltingSpread(const ModelConfig& config);

  /// Numbers that `measure` returns.
  [[nodiscard]] size_t width() const { return width_; }

  /// What a pass says, in numbers that another rank may add.
  /// @param expected_loops  [L, B, T] n, fp32
  /// @param recorder        of the pass, with P_t of each adaptive layer
  [[nodiscard]] std::vector<double> measure(const at::Tensor& expected_loops,
                                            const Recorder& recorder) const;

  /// Adds a pass.
  /// @param numbers  width() of them, from `measure`
  void add(std::span<const double> numbers);

  /// The histograms of all passes; empty before the first and in a dense model.
  [[nodiscard]] std::vector<EventHistogram> histograms() const;

 private:
  /// A layer that loops, and what is known of its tokens.
  struct LoopedLayer {
    int64_t layer = 0;
    int64_t loops = 0;  // N
    double low = 0.0, high = 0.0, sum = 0.0, sum_of_squares = 0.0;
    std::vector<double> tokens{};  // by bucket of n
    std::vector<double> stops{};   // by loop
  };
  std::vector<LoopedLayer> layers_;
  size_t width_ = 0;
  bool any_ = false;
};

}  // namespace loopbank
