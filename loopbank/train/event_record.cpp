#include "loopbank/train/event_record.h"

#include <array>
#include <bit>
#include <cstring>
#include <optional>

namespace loopbank {
namespace {

constexpr uint32_t kCastagnoli = 0x82f63b78;  // the polynomial, bits reversed
constexpr uint32_t kMaskDelta = 0xa282ead8;
constexpr size_t kHeaderBytes = 12;  // length and its sum
constexpr size_t kFooterBytes = 4;
constexpr std::string_view kFileVersion = "brain.Event:2";

/// Numbers of fields, by message.
enum EventField : uint32_t { kWallTime = 1, kStep = 2, kVersion = 3, kSummary = 5, kSession = 7 };
enum SummaryField : uint32_t { kValue = 1 };
enum ValueField : uint32_t { kTag = 1, kSimpleValue = 2, kHistogram = 5 };
enum HistogramField : uint32_t {
  kMin = 1,
  kMax = 2,
  kNum = 3,
  kSum = 4,
  kSumSquares = 5,
  kBucketLimit = 6,
  kBucket = 7
};
enum SessionField : uint32_t { kStatus = 1 };
constexpr uint64_t kSessionStart = 1;

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? kCastagnoli : 0U);
    }
    table[i] = crc;
  }
  return table;
}

/// The machines that this runs on are little-endian, as the format is (safetensors relies on it, too).
static_assert(std::endian::native == std::endian::little);

template <typename Number>
void append_number(std::string& bytes, Number number) {
  std::array<char, sizeof(Number)> raw{};
  std::memcpy(raw.data(), &number, sizeof(Number));
  bytes.append(raw.data(), raw.size());
}

template <typename Number>
Number number_at(std::string_view bytes, size_t at) {
  Number number{};
  std::memcpy(&number, bytes.data() + at, sizeof(Number));
  return number;
}

uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + kMaskDelta;
}

/// A protobuf message, field by field.
class Message {
 public:
  void number(uint32_t field, double value) {
    key(field, kFixed64);
    append_number(bytes_, value);
  }
  void number(uint32_t field, float value) {
    key(field, kFixed32);
    append_number(bytes_, value);
  }
  /// A negative step takes ten bytes, as in protobuf.
  void whole(uint32_t field, uint64_t value) {
    key(field, kVarint);
    varint(value);
  }
  void bytes(uint32_t field, std::string_view value) {
    key(field, kBytes);
    varint(value.size());
    bytes_ += value;
  }
  void packed(uint32_t field, const std::vector<double>& values) {
    std::string list;
    for (const auto value : values) {
      append_number(list, value);
    }
    bytes(field, list);
  }
  [[nodiscard]] const std::string& text() const { return bytes_; }

 private:
  void key(uint32_t field, WireType type) { varint((field << 3U) | type); }
  void varint(uint64_t value) {
    while (value >= 0x80) {
      bytes_ += static_cast<char>((value & 0x7fU) | 0x80U);
      value >>= 7U;
    }
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

Message event_head(double wall_time, int64_t step) {
  Message message;
  message.number(kWallTime, wall_time);
  if (step != 0) {  // as protobuf leaves out what is zero
    message.whole(kStep, static_cast<uint64_t>(step));
  }
  return message;
}

Message scalar_value(const EventScalar& scalar) {
  Message message;
  message.bytes(kTag, scalar.tag);
  message.number(kSimpleValue, static_cast<float>(scalar.value));
  return message;
}

Message histogram_value(const EventHistogram& histogram) {
  Message inner;
  inner.number(kMin, histogram.low);
  inner.number(kMax, histogram.high);
  inner.number(kNum, histogram.count);
  inner.number(kSum, histogram.sum);
  inner.number(kSumSquares, histogram.sum_of_squares);
  inner.packed(kBucketLimit, histogram.limits);
  inner.packed(kBucket, histogram.buckets);
  Message message;
  message.bytes(kTag, histogram.tag);
  message.bytes(kHistogram, inner.text());
  return message;
}

std::string record_of(const Message& message) {
  const auto& bytes = message.text();
  std::string record;
  append_number(record, static_cast<uint64_t>(bytes.size()));
  append_number(record, masked_crc(record));
  record += bytes;
  append_number(record, masked_crc(bytes));
  return record;
}

/// The fields of a message that was written by another program or an earlier version: what is not
/// known is passed over.
class MessageReader {
 public:
  explicit MessageReader(std::string_view bytes) : bytes_(bytes) {}

  /// The next field's number; none at the end or where the bytes are no message. Its value, if it is
  /// whole, is in `value`.
  std::optional<uint32_t> next(uint64_t& value) {
    const auto key = varint();
    if (!key) {
      return std::nullopt;
    }
    switch (*key & 7U) {
      case kVarint: {
        const auto whole = varint();
        value = whole.value_or(0);
        return whole ? std::optional(static_cast<uint32_t>(*key >> 3U)) : std::nullopt;
      }
      case kFixed64:
        return skip(8) ? std::optional(static_cast<uint32_t>(*key >> 3U)) : std::nullopt;
      case kBytes: {
        const auto length = varint();
        return length && skip(*length) ? std::optional(static_cast<uint32_t>(*key >> 3U))
                                       : std::nullopt;
      }
      case kFixed32:
        return skip(4) ? std::optional(static_cast<uint32_t>(*key >> 3U)) : std::nullopt;
      default:
        return std::nullopt;
    }
  }

 private:
  std::optional<uint64_t> varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at_ < bytes_.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= static_cast<uint64_t>(byte & 0x7fU) << shift;
      if ((byte & 0x80U) == 0) {
        return value;
      }
    }
    return std::nullopt;
  }
  bool skip(uint64_t count) {
    if (count > bytes_.size() - at_) {
      return false;
    }
    at_ += count;
    return true;
  }

  std::string_view bytes_;
  size_t at_ = 0;
};

EventRecord read_event(std::string_view bytes, size_t end) {
  EventRecord record{.end = end};
  MessageReader reader(bytes);
  uint64_t value = 0;
  while (const auto field = reader.next(value)) {
    if (*field == kStep) {
      record.step = static_cast<int64_t>(value);
    }
    record.is_start = record.is_start || *field == kVersion || *field == kSession;
  }
  return record;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = make_crc_table();
  uint32_t crc = ~0U;
  for (const char c : bytes) {
    crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 0xffU] ^ (crc >> 8U);
  }
  return ~crc;
}

std::string event_record(const Event& event) {
  Message summary;
  for (const auto& scalar : event.scalars) {
    summary.bytes(kValue, scalar_value(scalar).text());
  }
  for (const auto& histogram : event.histograms) {
    summary.bytes(kValue, histogram_value(histogram).text());
  }
  auto message = event_head(event.wall_time, event.step);
  message.bytes(kSummary, summary.text());
  return record_of(message);
}

std::string start_records(double wall_time, int64_t step) {
  auto version = event_head(wall_time, 0);
  version.bytes(kVersion, kFileVersion);
  Message session;
  session.whole(kStatus, kSessionStart);
  auto start = event_head(wall_time, step);
  start.bytes(kSession, session.text());
  return record_of(version) + record_of(start);
}

std::vector<EventRecord> event_records(std::string_view file) {
  std::vector<EventRecord> records;
  for (size_t at = 0; file.size() - at >= kHeaderBytes;) {
    const auto length = number_at<uint64_t>(file, at);
    if (number_at<uint32_t>(file, at + 8) != masked_crc(file.substr(at, 8)) ||
        file.size() - at - kHeaderBytes < kFooterBytes ||
        length > file.size() - at - kHeaderBytes - kFooterBytes) {
      break;
    }
    const auto bytes = file.substr(at + kHeaderBytes, length);
    at += kHeaderBytes + length + kFooterBytes;
    if (number_at<uint32_t>(file, at - kFooterBytes) != masked_crc(bytes)) {
      break;
    }
    records.push_back(read_event(bytes, at));
  }
  return records;
}

}  // namespace loopbank
