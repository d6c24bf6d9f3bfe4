#pragma once
/// AdamW with SPEC's groups: decay on linear weights only; loop scales, memory, routers and memory
/// gates with learning rates of their own; and in a run that starts from an existing model, what was
/// taken from it and what was added to it.
///
/// A gradient may be sparse, with only the rows that a batch reached, as an embedding's. The step
/// is that of a dense gradient with zeros elsewhere.
///
/// On the CPU one vector loop does all of a step's operations, so that memory is read once per step
/// and not once per operation. On a GPU LibTorch 2 has one kernel for all tensors of a group, which
/// also clips; otherwise the operations run over lists of tensors.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "loopbank/model/parameters.h"
#include "loopbank/model/safetensors.h"
#include "loopbank/train/adamw_groups.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

class AdamW {
 public:
  /// Keeps handles to the parameters' tensors; the moments start at 0.
  AdamW(const Parameters& parameters, const OptimizerConfig& config);

  /// One step from the gradients that the parameters hold (Loshchilov and Hutter 2019), as
  /// torch.optim.AdamW:
  ///
  ///     p <- p (1 - r wd)      m <- b1 m + (1 - b1) g      v <- b2 v + (1 - b2) g^2
  ///     p <- p - r / (1 - b1^k) * m / (sqrt(v / (1 - b2^k)) + eps)
  ///
  /// with k the number of this step, r the learning rate times the parameter's multiplier, and wd
  /// the decay of linear weights, 0 for all others. A parameter without a gradient stays as it is.
  /// @param gradient_scale  multiplies every gradient first: the clipping coefficient
  /// Numerics: fp32; the coefficients are computed in fp64.
  void step(double learning_rate, double gradient_scale = 1.0);

  /// The same step without reading anything from the device: what clips and what counts is decided
  /// there. LibTorch 2 (ops::kHasFusedAdamw).
  /// @param norm       scalar, the norm of all gradients, on the parameters' device
  /// @param clip_norm  0: no clipping
  /// @param finite     scalar bool; false leaves values and moments as they are, and the caller, once
  ///                   it knows, calls forget_step
  /// Numerics: fp32; the coefficients are computed on the device, in fp32.
  void step_on_device(double learning_rate, const at::Tensor& norm, double clip_norm,
                      const at::Tensor& finite);

  /// The last step was none.
  void forget_step() { --steps_; }

  /// Steps taken so far, k.
  [[nodiscard]] int64_t steps() const { return steps_; }

  /// Both moments of every parameter, as `first_moment.<name>` and `second_moment.<name>`.
  [[nodiscard]] NamedTensors state() const;

  /// Restores what `state` and `steps` returned; everything is checked before anything is written.
  /// @throws Error kCheckpoint for a missing, unknown or wrongly shaped moment, by its name
  void restore(const NamedTensors& state, int64_t steps);

 private:
  void step_in_ranges(const std::vector<at::Tensor>& gradients, double learning_rate,
                      double gradient_scale);
  /// Rows of parameter i without a gradient in this step that move nevertheless: by the moments of
  /// earlier steps or by decay. All others would move by 0.
  [[nodiscard]] std::vector<int64_t> rows_still_in_motion(size_t i, const at::Tensor& gradient);
  void step_in_lists(const std::vector<at::Tensor>& gradients, double learning_rate,
                     double gradient_scale);

  std::vector<Parameter> parameters_;
  AdamwGroups groups_;
  std::vector<at::Tensor> first_moments_;
  std::vector<at::Tensor> second_moments_;
  std::vector<std::vector<bool>> moved_rows_;  // by parameter; empty where not known
  int64_t steps_ = 0;
};

/// Norm of all gradients together: sqrt(sum g^2) over every parameter that has one; not finite if
/// any gradient is not.
[[nodiscard]] double gradient_norm(const Parameters& parameters);

/// The same as a scalar on the parameters' device, which is not waited for.
/// Numerics: fp32, in another order than gradient_norm.
[[nodiscard]] at::Tensor gradient_norm_on_device(const Parameters& parameters);

/// The factor for gradients of this norm, as in torch.nn.utils.clip_grad_norm_: min(1, clip_norm /
/// (norm + 1e-6)); 1 if clip_norm is 0.
[[nodiscard]] double clip_coefficient(double norm, double clip_norm);

/// Drops every gradient, so that the next backward pass starts without any.
void clear_gradients(const Parameters& parameters);

}  // namespace loopbank
