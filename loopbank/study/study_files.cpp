#include "loopbank/study/study_files.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/study/report.h"
#include "loopbank/study/results_json.h"
#include "loopbank/support/files.h"

namespace loopbank {
namespace {

constexpr double kTimesTheWriting = 30.0;

}  // namespace

bool StudyFiles::is_due() const {
  return since_written_.seconds() >= kTimesTheWriting * seconds_of_writing_;
}

void StudyFiles::write(const StudyResult& result) {
  write_file_atomically(folder_ / "results.json", to_json(result).dump(2) + "\n");
  const auto report = make_report(result);
  write_file_atomically(folder_ / "report.html", report.html);
  create_directories(folder_ / "csv", ErrorCode::kData);
  write_files_atomically(folder_ / "csv", report.csv);
  seconds_of_writing_ = writing_.seconds();
  since_written_ = {};
}

std::string machine_name() {
  std::string name = "unknown processor";
  if (std::filesystem::exists("/proc/cpuinfo")) {
    const auto text = read_file("/proc/cpuinfo");
    const auto key = text.find("model name");
    const auto colon = key == std::string::npos ? key : text.find(": ", key);
    if (colon != std::string::npos) {
      name = text.substr(colon + 2, text.find('\n', colon) - colon - 2);
    }
  }
  return fmt::format("{}, {} cores", name, at::get_num_threads());
}

}  // namespace loopbank
