#pragma once
/// What a pass of inference does with those of its tokens that are asked for: loops, halting
/// probabilities, reads of the memory banks (TokenInside). It looks at what layers have computed and
/// changes nothing; a pass in which no token is asked for does not come here.

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "loopbank/infer/request.h"
#include "loopbank/model/inference_context.h"
#include "loopbank/model/recorder.h"

namespace loopbank {

class InsideRecorder {
 public:
  /// Starts with a pass.
  /// @param num_layers  L
  void begin(int64_t num_layers);
  /// A token to watch.
  /// @param row   of the pass, larger than those before
  /// @param hard  whether its layers give out h^(tau) and not the mixture
  void watch(int64_t row, bool hard);
  /// Whether any token is watched.
  [[nodiscard]] bool watches() const { return !watched_.empty(); }

  /// A read of a bank before a loop of a layer.
  /// @param read  of the r tokens that run the loop
  void after_read(const LoopRows& at, const MemoryRead& read);
  /// @param num_loops  N of the layer
  void after_loop(const LoopOutcome& outcome, int64_t num_loops);

  /// What was seen, by row of the pass; null for those not watched.
  /// @param loops  [L, 1, R], fp32 in CPU memory
  [[nodiscard]] std::vector<std::shared_ptr<const TokenInside>> results(const at::Tensor& loops);

 private:
  /// The sums of one bank over the loops of a layer.
  struct BankSums {
    double share = 0.0;
    double gate = 0.0;
    std::vector<double> weights;  // [M]
  };
  struct Watched {
    int64_t row = 0;
    bool hard = false;
    double share = 1.0;               // of the layer's output, that which is still to come
    std::array<BankSums, 2> banks{};  // local, global
    std::shared_ptr<TokenInside> inside{};
  };
  void enter(int64_t layer);
  static void leave(Watched& watched, int64_t layer);
  /// Which of the loop's tokens are watched: their places among these, and who they are.
  void find(const LoopRows& at, int64_t num_rows);

  int64_t num_layers_ = 0;
  int64_t layer_ = -1;  // being computed
  std::vector<Watched> watched_;
  std::vector<int64_t> places_;  // ascending
  std::vector<Watched*> found_;
};

}  // namespace loopbank
