#pragma once
/// TensorBoard's event files: TFRecord around protobuf.
///
///     file    = record, record, ...
///     record  = length (8 bytes), mask(crc(length)), the bytes, mask(crc(bytes))   little-endian
///     bytes   = Event{wall_time, step, file_version | session_log | summary}
///     mask(c) = (c rotated right by 15) + 0xa282ead8      crc: CRC-32C
///
/// Written by hand: four messages with eighteen fields of three wire types are all there is to it,
/// and libprotobuf would come into one process with the other protobuf that PyTorch's builds of
/// LibTorch contain. The real package reads what is written here (scripts/interop tensorboard).
///
/// Not here: which figures are written under which tags (train/event_tags.h), the files of a run
/// (train/event_log.h).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank {

/// CRC-32C (Castagnoli) of bytes.
[[nodiscard]] uint32_t crc32c(std::string_view bytes);

/// How values are spread, in TensorBoard's form.
struct EventHistogram {
  std::string tag;
  double low = 0.0;   ///< where the first bucket begins
  double high = 0.0;  ///< where the last one ends
  double count = 0.0;
  double sum = 0.0;
  double sum_of_squares = 0.0;
  std::vector<double> limits{};   ///< upper end of each bucket
  std::vector<double> buckets{};  ///< how much lies in it
};

struct EventScalar {
  std::string tag;
  double value = 0.0;  ///< stored in fp32, as TensorBoard does; NaN is a value
};

/// What was measured at a step.
struct Event {
  double wall_time = 0.0;  ///< seconds since 1970
  int64_t step = 0;
  std::vector<EventScalar> scalars{};
  std::vector<EventHistogram> histograms{};
};

/// The record of an event.
[[nodiscard]] std::string event_record(const Event& event);

/// The two records that a file begins with: the version of the format, and a start at `step`, on
/// which a reader drops what it knows of this step and later ones.
[[nodiscard]] std::string start_records(double wall_time, int64_t step);

/// A record of an event file, as far as a writer must know it.
struct EventRecord {
  size_t end = 0;  ///< offset behind it
  int64_t step = 0;
  bool is_start = false;  ///< one of the two that a file begins with
};

/// The whole records at the beginning of a file: a torn one or one whose sums do not match ends it.
[[nodiscard]] std::vector<EventRecord> event_records(std::string_view file);

}  // namespace loopbank
