#include "loopbank/train/event_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/train/event_tags.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using EventRow = nlohmann::ordered_json;

constexpr std::string_view kEventPrefix = "events.out.tfevents.";
constexpr std::string_view kEventSuffix = ".loopbank";

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// TIME of a file's name, whole seconds; 0 where it is no event file of ours.
int64_t time_in_name(const fs::path& path) {
  const auto name = path.filename().string();
  int64_t time = 0;
  if (name.starts_with(kEventPrefix) && name.ends_with(kEventSuffix) &&
      name.size() > kEventPrefix.size() + kEventSuffix.size()) {
    const auto* const end = name.data() + name.size() - kEventSuffix.size();
    const auto [stop, error] = std::from_chars(name.data() + kEventPrefix.size(), end, time);
    if (error != std::errc() || stop != end || time < 0) {
      return 0;
    }
  }
  return time;
}

int64_t event_step_of(const EventRow& row) {
  const auto step = row.find("step");
  return step != row.end() && step->is_number_integer() ? step->get<int64_t>() : 0;
}

std::string record_of_row(const EventRow& row, const std::vector<EventHistogram>& histograms) {
  Event event{.wall_time = seconds_since_1970(), .step = event_step_of(row)};
  try {
    event.scalars = scalars_of_row(row);
  } catch (const nlohmann::json::exception&) {
    // A row of another program's or version's has no tags here, but keeps its place.
    event.scalars.clear();
  }
  event.histograms = histograms;
  return event_record(event);
}

/// How much of a file belongs to the next rows.
struct KeptEvents {
  size_t bytes = 0;
  size_t events = 0;
};

KeptEvents kept_of(std::string_view file, const std::vector<EventRow>& rows, size_t next_row) {
  KeptEvents kept;
  for (const auto& record : event_records(file)) {
    if (!record.is_start) {
      const auto row = next_row + kept.events;
      if (row >= rows.size() || record.step != event_step_of(rows[row])) {
        break;
      }
      ++kept.events;
    }
    kept.bytes = record.end;
  }
  return kept;
}

/// Cuts the files back to the rows. The last are removed first, so that a run that is killed here
/// leaves the beginning.
/// @return events that are left
size_t cut_back(const std::vector<fs::path>& files, const std::vector<EventRow>& rows) {
  size_t next_row = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    const auto content = read_file(files[i], ErrorCode::kCheckpoint);
    const auto kept = kept_of(content, rows, next_row);
    next_row += kept.events;
    if (kept.bytes == content.size() && kept.events > 0) {
      continue;
    }
    for (size_t later = files.size(); later-- > i + 1;) {
      fs::remove(files[later]);
    }
    if (kept.events > 0) {
      write_file_atomically(files[i], std::string_view(content).substr(0, kept.bytes),
                            ErrorCode::kCheckpoint);
    } else {
      fs::remove(files[i]);
    }
    break;
  }
  return next_row;
}

}  // namespace

std::vector<fs::path> event_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (time_in_name(entry.path()) > 0) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end(), [](const fs::path& left, const fs::path& right) {
    return time_in_name(left) < time_in_name(right);
  });
  return files;
}

EventLog::EventLog(const fs::path& folder, const std::vector<EventRow>& rows, int64_t last_step) {
  const auto files = event_files(folder);
  const double now = seconds_since_1970();
  auto time = static_cast<int64_t>(now);
  if (!files.empty()) {
    time = std::max(time, time_in_name(files.back()) + 1);
  }
  size_t kept = 0;
  try {
    kept = cut_back(files, rows);
  } catch (const fs::filesystem_error& error) {
    fail(ErrorCode::kCheckpoint, "{}: cannot remove: {}.", error.path1().string(),
         error.code().message());
  }
  file_.emplace(folder / fmt::format("{}{}{}", kEventPrefix, time, kEventSuffix));
  auto begin = start_records(now, last_step + 1);
  for (size_t row = kept; row < rows.size(); ++row) {
    begin += record_of_row(rows[row], {});
  }
  file_->write(begin);
}

void EventLog::write(const EventRow& row, const std::vector<EventHistogram>& histograms) {
  file_->write(record_of_row(row, histograms));
}

}  // namespace loopbank
