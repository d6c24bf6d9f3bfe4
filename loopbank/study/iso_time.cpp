#include "loopbank/study/iso_time.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "loopbank/support/files.h"
#include "loopbank/support/json_members.h"
#include "loopbank/support/statistics.h"
#include "loopbank/train/benchmark_steps.h"
#include "loopbank/train/device.h"

namespace loopbank {
namespace {

constexpr int64_t kRounds = 15;

}  // namespace

IsoTime measure_iso_time(const RunConfig& run, const RunConfig& target, int64_t rounds,
                         const std::function<bool()>& should_stop) {
  const auto device = choose_device(run.training.device);
  BenchmarkSteps own(run, device);
  BenchmarkSteps other(target, device);
  (void)own.run();  // the first steps fill caches and pools
  (void)other.run();
  std::vector<double> own_seconds;
  std::vector<double> other_seconds;
  for (int64_t i = 0; i < rounds; ++i) {
    if (should_stop && should_stop()) {
      return {};
    }
    own_seconds.push_back(own.run());
    other_seconds.push_back(other.run());
  }
  IsoTime time{.seconds_a_step = median(std::move(own_seconds)),
               .target_seconds_a_step = median(std::move(other_seconds))};
  const double steps =
      static_cast<double>(target.training.steps) * time.target_seconds_a_step / time.seconds_a_step;
  time.steps = std::max<int64_t>(1, std::llround(steps));
  return time;
}

void members(auto& by, Either<IsoTime> auto& time) {
  by("seconds_a_step", time.seconds_a_step);
  by("target_seconds_a_step", time.target_seconds_a_step);
  by("steps", time.steps);
}

std::optional<IsoTime> read_iso_time(const std::filesystem::path& file) {
  static const MembersForm kForm = {
      .expected = "the steps of a baseline in equal time",
      .remedy = "Remove the file and the runs of that system to measure anew.",
      .all = true};
  return read_members_file<IsoTime>(file, kForm);
}

IsoTime iso_time_of(const std::filesystem::path& file, const RunConfig& run,
                    const RunConfig& target, const std::function<bool()>& should_stop) {
  if (const auto before = read_iso_time(file)) {
    return *before;
  }
  const auto time = measure_iso_time(run, target, kRounds, should_stop);
  if (time.steps > 0) {
    create_directories(file.parent_path(), ErrorCode::kData);
    write_file_atomically(file, JsonWriter::write(time).dump(2) + "\n");
  }
  return time;
}

}  // namespace loopbank
