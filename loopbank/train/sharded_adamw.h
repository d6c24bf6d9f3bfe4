#pragma once
/// AdamW whose state is shared out over the ranks (ZeRO stage 1, Rajbhandari et al. 2020): each keeps
/// the moments of the slices that it owns, steps their values and sends them to all.
///
/// On the CPU every value, moment and norm has the bits of AdamW on one rank from the same sums.
///
/// Not tried: parameters as views into the buckets, which would save a copy of the values a step and
/// make the optimizer part of the model's memory.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "loopbank/model/parameters.h"
#include "loopbank/model/safetensors.h"
#include "loopbank/ranks/ranks.h"
#include "loopbank/train/adamw_groups.h"
#include "loopbank/train/gradient_buckets.h"

namespace loopbank {

class ShardedAdamW {
 public:
  ShardedAdamW(const Ranks& ranks, const Parameters& parameters, const OptimizerConfig& config);

  /// Sums of squares of the gradients in this rank's slices, after `finish` of the buckets: one a
  /// block on the CPU, one in all elsewhere. Every rank has as many.
  [[nodiscard]] std::vector<double> squares(std::vector<GradientBucket>& buckets);
  /// The norm from those of all ranks, as gradient_norm.
  [[nodiscard]] double norm(const std::vector<std::vector<double>>& squares_by_rank) const;

  /// One step as AdamW::step; all ranks have the new values when it returns.
  /// @param present  by parameter: whether any rank had a gradient of it; others stay as they are
  void step(std::vector<GradientBucket>& buckets, const std::vector<bool>& present,
            double learning_rate, double gradient_scale);

  [[nodiscard]] int64_t steps() const { return steps_; }
  /// The moments as AdamW::state, whole: all ranks call it, and the first has them; the others' list
  /// is empty.
  [[nodiscard]] NamedTensors state() const;
  /// Takes them from a state as one rank wrote it.
  /// @throws Error kCheckpoint as AdamW::restore
  void restore(const NamedTensors& state, int64_t steps);

 private:
  /// What this rank keeps of a bucket.
  struct Slice {
    BucketLayout layout;
    std::vector<BucketPart> parts;
    at::Tensor first_moment, second_moment;  // [slice] fp32
  };
  /// Once the layout is known; takes the moments that `restore` left.
  void open_slices(const std::vector<GradientBucket>& buckets);
  void step_slice(const Slice& slice, const GradientBucket& bucket,
                  const std::vector<bool>& present, const std::vector<AdamwCoefficients>& by_group);

  Ranks ranks_;
  std::vector<Parameter> parameters_;
  AdamwGroups groups_;
  std::vector<Slice> slices_;
  std::vector<BlockPlace> blocks_;
  NamedTensors waiting_;  // moments for slices that are not laid out yet
  int64_t steps_ = 0;
};

}  // namespace loopbank
