#pragma once
/// The PyTorch twin (reference/bench.py) as a process beside ours that trains on request.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "loopbank/train/run_config.h"

namespace loopbank::cli {

struct PytorchOptions {
  std::string python;               ///< interpreter that has torch
  std::filesystem::path reference;  ///< folder of bench.py
  std::string device;               ///< cpu | cuda
  int threads = 1;
  bool compile = false;  ///< torch.compile
};

/// What the process answered.
struct PytorchSteps {
  std::string torch;                      ///< its version
  std::string unavailable;                ///< why it cannot; empty where it can
  std::vector<double> seconds;            ///< of each step
  std::vector<double> processor_seconds;  ///< of each step, over all threads; or none
};

/// `reference/` in the current folder, or beside the build folder that the program runs from.
/// @throws Error kConfig naming both if neither is there
[[nodiscard]] std::filesystem::path find_reference_folder();

/// The interpreter of build/wheel-venv beside that folder, which has pip's torch (scripts/wheel makes
/// it); the system's where there is none.
[[nodiscard]] std::string find_python(const std::filesystem::path& reference);

class PytorchTwin {
 public:
  /// Starts the process; the model is ready when the first `run` returns.
  PytorchTwin(const RunConfig& config, const PytorchOptions& options);
  ~PytorchTwin();
  PytorchTwin(const PytorchTwin&) = delete;
  PytorchTwin& operator=(const PytorchTwin&) = delete;

  /// `steps` full training steps, the same work as BenchmarkSteps::run.
  /// @throws Error kConfig when the process ended, for example for lack of torch
  PytorchSteps run(int64_t steps);

  /// The most memory that the process, or its allocator on a GPU, held at once, as of the last run.
  [[nodiscard]] int64_t peak_memory_bytes() const { return peak_memory_bytes_; }

 private:
  [[nodiscard]] std::string read_line();

  std::string command_;
  int process_ = -1;
  int input_ = -1;   // its stdin
  int output_ = -1;  // its stdout
  int64_t peak_memory_bytes_ = 0;
};

}  // namespace loopbank::cli
