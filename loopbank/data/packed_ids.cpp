#include "loopbank/data/packed_ids.h"

#include <algorithm>
#include <bit>

namespace loopbank {
namespace {

static_assert(std::endian::native == std::endian::little, "token files are little endian");

template <typename Stored>
uint64_t widen(const Stored* ids, int64_t count, int64_t* out) {
  Stored largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, ids[i]);
    out[i] = static_cast<int64_t>(ids[i]);
  }
  return largest;
}

template <typename Stored>
IdSummary summarize(const Stored* ids, int64_t count, uint32_t wanted) {
  Stored largest = 0;
  int64_t num_wanted = 0;
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, ids[i]);
    num_wanted += ids[i] == wanted ? 1 : 0;
  }
  return {largest, num_wanted};
}

/// Calls `use` with the ids as an array of their own type.
template <typename Use>
auto with_type(const std::byte* from, int bytes_per_token, Use&& use) {
  switch (bytes_per_token) {
    case 1:
      return use(reinterpret_cast<const uint8_t*>(from));
    case 2:
      return use(reinterpret_cast<const uint16_t*>(from));
    default:
      return use(reinterpret_cast<const uint32_t*>(from));
  }
}

}  // namespace

uint64_t widen_ids(const std::byte* from, int bytes_per_token, int64_t count, int64_t* out) {
  return with_type(from, bytes_per_token,
                   [&](const auto* ids) -> uint64_t { return widen(ids, count, out); });
}

IdSummary summarize_ids(const std::byte* from, int bytes_per_token, int64_t count,
                        uint32_t wanted) {
  return with_type(from, bytes_per_token,
                   [&](const auto* ids) { return summarize(ids, count, wanted); });
}

int64_t find_at_least(const std::byte* from, int bytes_per_token, int64_t count, uint64_t limit) {
  return with_type(from, bytes_per_token, [&](const auto* ids) -> int64_t {
    const auto* found = std::find_if(ids, ids + count, [&](auto id) { return id >= limit; });
    return found == ids + count ? -1 : found - ids;
  });
}

uint32_t id_at(const std::byte* from, int bytes_per_token, int64_t index) {
  return with_type(from, bytes_per_token, [&](const auto* ids) -> uint32_t { return ids[index]; });
}

}  // namespace loopbank
