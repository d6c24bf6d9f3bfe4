#pragma once
/// The loops of an adaptive layer in a pass of inference: after each of them the tokens that leave
/// are taken out, and the next loop runs on a dense matrix of those that are left.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "loopbank/model/head_reader.h"
#include "loopbank/model/loop_mix.h"

namespace loopbank {

class EarlyExit final : public LoopMix {
 public:
  /// @param x  [1, R, D], the tokens of the pass's context
  EarlyExit(const at::Tensor& x, const Halting& halting, int64_t num_loops, const Place& place,
            LateKeys late_keys);

  [[nodiscard]] bool runs(int64_t t) const override;
  [[nodiscard]] Place place(int64_t t) const override;
  at::Tensor after_loop(int64_t t, const at::Tensor& h, const at::Tensor& logit) override;
  [[nodiscard]] LayerOutput output() override;

 private:
  /// What loop t means for the r tokens that ran it.
  struct Decision {
    std::vector<float> weights;  // P_t, or the rest of who leaves
    std::vector<int64_t> left;
    std::vector<int64_t> stayed;
  };
  [[nodiscard]] Decision decide(int64_t t, const at::Tensor& h);
  /// Changes of state over the loop, [r]; read where a rule of the pass asks for them.
  struct Changes {
    std::vector<double> change;
    std::vector<double> acceleration;
  };
  [[nodiscard]] Changes changes(const at::Tensor& h);
  /// y and n of those that leave after loop t.
  void mix(int64_t t, const std::vector<int64_t>& left);
  void add_loop(int64_t u, int64_t t, const std::vector<int64_t>& rows,
                const std::vector<float>& weights);
  void tell_context(int64_t t, const Decision& decision, const at::Tensor& h);
  void keep(const std::vector<int64_t>& stayed);

  const Halting& halting_;
  int64_t num_loops_;
  Place place_;
  LateKeys late_keys_;
  bool reads_changes_ = false;
  Thinking thinking_;  // the tokens that run the next loop
  /// A loop that was run.
  struct Ran {
    at::Tensor h;               // [r, D]
    std::vector<int64_t> rows;  // of the pass
  };
  std::vector<Ran> ran_;
  std::vector<at::Tensor> logits_;  // of theirs, p_1 to p_t [1, r]
  at::Tensor before_;               // [1, r, D] h^(t-1), where changes are read
  at::Tensor earlier_;              // [1, r, D] h^(t-2)
  HeadReader head_;
  at::Tensor y_;  // [R, D]
  at::Tensor n_;  // [R]
};

}  // namespace loopbank
