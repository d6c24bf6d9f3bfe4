#pragma once
/// TensorBoard's files in a run directory, beside metrics.jsonl: `events.out.tfevents.TIME.loopbank`.
///
/// Every row of metrics.jsonl has one event, in the same order. So a run that goes on knows which
/// events to keep: those of the rows that were kept. It cuts the others off, writes those that are
/// missing (a power failure, or a run that wrote none before), and goes on in a file of its own,
/// which a TensorBoard that is watching moves on to. No step stands in the files twice.
///
/// Considered and left: one file that is cut and grows again, since a TensorBoard that has read
/// behind the cut would wait in the middle of a record; and files that are never cut, since only
/// readers that purge would show each step once.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "loopbank/train/appended_file.h"
#include "loopbank/train/event_record.h"

namespace loopbank {

class EventLog {
 public:
  /// Cuts the folder's files back to the rows and opens a new one.
  /// @param rows       of metrics.jsonl, those that are there now
  /// @param last_step  of the checkpoint that the run goes on from, 0: it starts
  /// @throws Error kCheckpoint when they cannot be read or written
  EventLog(const std::filesystem::path& folder, const std::vector<nlohmann::ordered_json>& rows,
           int64_t last_step);

  /// Appends the event of a row, its scalars as event_tags.h names them.
  /// @throws Error kCheckpoint on a short write, a full disk included
  void write(const nlohmann::ordered_json& row, const std::vector<EventHistogram>& histograms = {});

  /// Waits until every event is on the disk.
  void sync() { file_->sync(); }

 private:
  std::optional<AppendedFile> file_;
};

/// The event files of a run, in the order of time.
[[nodiscard]] std::vector<std::filesystem::path> event_files(const std::filesystem::path& folder);

}  // namespace loopbank
