#pragma once
/// results.json, report.html and csv/ of a study's folder, written while it runs.
///
/// Writing them reads every run that is done and compares all systems: after each of many runs that
/// would take longer than the runs. So they are written after a run only where the last writing took
/// less than a thirtieth of the time since.

#include <filesystem>

#include "loopbank/study/results.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {

class StudyFiles {
 public:
  explicit StudyFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  [[nodiscard]] bool is_due() const;
  /// @throws Error kData for a folder that cannot be written
  void write(const StudyResult& result);
  /// Counts collecting what is written into the writing's time; to be called before it.
  void begin() { writing_ = {}; }

 private:
  std::filesystem::path folder_;
  Stopwatch writing_;
  double seconds_of_writing_ = 0.0;
  Stopwatch since_written_;
};

/// The processor's name as Linux tells it, and the cores at hand.
[[nodiscard]] std::string machine_name();

}  // namespace loopbank
