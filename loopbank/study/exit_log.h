#pragma once
/// The rows of a study of exits as a file of JSON lines, so that a measurement that was killed goes
/// on where it stopped.
///
///     {"settings": {"models": ["0123456789abcdef"], "dtype": "bf16", ...}}
///     {"rules": ["all", "cdf:0.9", ...]}
///     {"model": 0, "rule": "all", "kv": "full", "where": "decode", "bpb": 1.23, ...}
///
/// A row is appended as it is measured.

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/study/exit_study.h"

namespace loopbank {

class ExitLog {
 public:
  /// Reads what the file holds, if there is one. A last line that was cut off is removed.
  /// @param settings  everything that decides the rows, by name
  /// @throws Error kData when the file cannot be written, holds anything else, or rows that were
  ///   measured under other settings, naming the first that differs
  ExitLog(std::filesystem::path path, nlohmann::ordered_json settings);

  /// Those that are compared; none until they are known.
  [[nodiscard]] const std::vector<std::string>& rules() const { return rules_; }
  void write_rules(std::vector<std::string> rules);

  /// Those of a model that are there.
  /// @param model  its place, from 0
  [[nodiscard]] std::vector<ExitResult> rows(int64_t model) const;
  /// The row is in the file when this returns.
  /// @throws Error kData when it cannot be written
  void append(int64_t model, const ExitResult& row);

 private:
  void read(const nlohmann::ordered_json& settings);
  void write(const nlohmann::ordered_json& line);

  std::filesystem::path path_;
  std::vector<std::string> rules_;
  std::vector<std::pair<int64_t, ExitResult>> rows_;
  std::ofstream file_;
};

}  // namespace loopbank
