#pragma once
/// The loops of an adaptive layer in a pass of inference: after each of them the tokens that leave
/// are taken out, and the next loop runs on a dense matrix of those that are left.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "loopbank/model/head_reader.h"
#include "loopbank/model/loop_mix.h"

namespace loopbank {

/// Used from layer to layer and from pass to pass, so that its lists are allocated once.
class EarlyExit final : public LoopMix {
 public:
  /// Starts with a layer.
  /// @param x  [1, R, D], the tokens of the pass's context
  /// What is handed over outlives the layer's loops.
  void begin(const at::Tensor& x, const Halting& halting, int64_t num_loops, const Place& place,
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
  void decide(int64_t t, const at::Tensor& h);
  /// Changes of state over the loop, [r]; read where a rule of the pass asks for them.
  struct Changes {
    at::Tensor change;
    at::Tensor acceleration;  // undefined after the first loop, where it is infinite
  };
  [[nodiscard]] Changes changes(const at::Tensor& h);
  /// y and n of those that leave after loop t.
  void mix(int64_t t);
  void add_loop(int64_t u, int64_t t);
  void tell_context(int64_t t, const at::Tensor& h);
  void keep_those_that_stay();
  [[nodiscard]] const std::vector<TokenExit>& exits() const;

  const Halting* halting_ = nullptr;
  int64_t num_loops_ = 0;
  std::optional<Place> place_;
  LateKeys late_keys_;
  bool reads_changes_ = false;
  Thinking thinking_;  // the tokens that run the next loop
  Thinking leaving_;   // those that leave after the one that has run
  Decision decision_;
  /// A loop that was run.
  struct Ran {
    at::Tensor h;               // [r, D]
    std::vector<int64_t> rows;  // of the pass
  };
  std::vector<Ran> ran_;            // the first t of them
  std::vector<at::Tensor> logits_;  // of theirs, p_1 to p_t [1, r]
  at::Tensor before_;               // [r, D] h^(t-1), where changes are read
  at::Tensor earlier_;              // [r, D] h^(t-2)
  HeadReader head_;
  at::Tensor y_;                 // [R, D]
  at::Tensor n_;                 // [1, R]
  std::vector<float> weights_;   // of a loop in y, of those that leave
  std::vector<int64_t> places_;  // theirs among those that ran it
};

}  // namespace loopbank
