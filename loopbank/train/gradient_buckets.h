#pragma once
/// The gradients of a model in buckets whose sums over the ranks are taken while the backward pass
/// still runs.
///
/// A bucket's exchange starts when the last of its gradients is there in the last pass of this rank;
/// autograd tells by a hook on the node that accumulates a parameter's gradient. Loops hand a shared
/// parameter's gradient on once, after the last (ops/weight_gradient.h); where a pass is computed
/// again (recompute) a parameter's gradient comes in parts, whose number the first step counts.
/// Buckets start in the same order on all ranks: one that is full waits for those before it.
///
/// The first step measures: all exchanges come after its backward pass, then rank 0's order of
/// gradients makes the layout for all.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "loopbank/model/parameters.h"
#include "loopbank/ranks/ranks.h"
#include "loopbank/train/bucket_layout.h"

namespace loopbank {

struct GradientBucket {
  BucketLayout layout;
  /// [n, slice] fp32: this rank's gradients; after a step room for the new values of all.
  at::Tensor values;
  at::Tensor room;    ///< [n, slice] fp32: row 0 holds the sums of this rank's slice
  Exchange exchange;  ///< of gradients
  int64_t missing = 0;
};

class GradientBuckets {
 public:
  /// Puts hooks on the parameters.
  GradientBuckets(const Ranks& ranks, const Parameters& parameters);
  /// Takes them off.
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  /// Before the passes of a step.
  void begin_step();
  /// Before the backward pass of this rank's last pass; not called where it has none.
  void expect_last_pass();
  /// After it: sends what was not yet sent, a parameter without a gradient as zeros, and waits for the
  /// sums. The parameters hold no gradients then.
  /// @throws RanksLost
  void finish();

  /// None before the first `finish`.
  [[nodiscard]] std::vector<GradientBucket>& buckets() { return buckets_; }
  /// By parameter: whether this rank had a gradient of it in this step.
  [[nodiscard]] const std::vector<bool>& present() const { return present_; }

 private:
  class Hook;
  void gradient_came(size_t parameter);
  void make_layout();
  void take(size_t parameter);
  void start_full_buckets();

  Ranks ranks_;
  std::vector<Parameter> parameters_;
  std::vector<std::shared_ptr<void>> nodes_;  // whose hooks are ours
  std::vector<uintptr_t> hooks_;
  std::vector<GradientBucket> buckets_;
  std::vector<size_t> bucket_of_;
  std::vector<at::Tensor> places_;  // of each parameter's gradient in its bucket, in its shape
  std::vector<int64_t> expected_;   // parts of a gradient in a pass
  std::vector<int64_t> seen_;       // of them, in this pass
  std::vector<size_t> order_;       // of the parts of the first step
  std::vector<bool> taken_, present_;
  size_t next_ = 0;  // bucket to send
  bool in_last_pass_ = false;
};

}  // namespace loopbank
