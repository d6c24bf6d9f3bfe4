#pragma once
/// PyTorch's versions of a model beside ours: plain, and through torch.compile where it has that.
///
/// Why both: a program is worth what it gains over the better of them, and which one that is changes
/// with the model, the machine and PyTorch's version.

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/cli/bench_pytorch.h"

namespace loopbank::cli {

/// What every peer is held against.
struct OurSpeed {
  double tokens_per_step = 0.0;
  double seconds = 0.0;            ///< of the median step
  double processor_seconds = 0.0;  ///< likewise, over all threads; 0 for none
  int64_t peak_memory_bytes = 0;
  double flops_per_token = 0.0;
  double gemm_peak_flops = 0.0;
};

class PytorchPeers {
 public:
  /// Starts both; `options.compile` is not looked at.
  PytorchPeers(const RunConfig& config, PytorchOptions options);

  /// Steps that are not timed, until nothing is compiled any more. A peer without torch.compile
  /// leaves here, with a warning.
  /// @throws Error kConfig when the plain one ended, for example for lack of torch
  void warm_up(int64_t steps);

  /// Some timed steps of each.
  void run(int64_t steps);

  /// Adds `peers`, one object each, and the ratios to the better one: `ratio_to_pytorch` to the
  /// faster, `memory_ratio_to_pytorch` to the one that takes less memory.
  void report(const OurSpeed& ours, nlohmann::ordered_json& json) const;

 private:
  struct Peer {
    std::string name;
    std::string torch;
    std::unique_ptr<PytorchTwin> twin;
    std::vector<double> seconds;
    std::vector<double> processor_seconds;
  };

  std::vector<Peer> peers_;
};

/// The peers of such a report as a table for people.
void print_peers(const nlohmann::ordered_json& json);

}  // namespace loopbank::cli
