#pragma once
/// Token ids as files hold them: little-endian whole numbers of 1, 2 or 4 bytes, one after another.

#include <cstddef>
#include <cstdint>

namespace loopbank {

/// Widens ids to int64 and finds the largest.
/// @param from  [count x bytes_per_token] aligned to bytes_per_token, which is 1, 2 or 4
/// @return the largest of them; 0 where there are none
uint64_t widen_ids(const std::byte* from, int bytes_per_token, int64_t count, int64_t* out);

/// The largest id and how many of them equal `wanted`; one pass that the compiler vectorises.
struct IdSummary {
  uint32_t largest = 0;
  int64_t num_wanted = 0;
};
[[nodiscard]] IdSummary summarize_ids(const std::byte* from, int bytes_per_token, int64_t count,
                                      uint32_t wanted);

/// The first id of `limit` or more; -1 where there is none.
[[nodiscard]] int64_t find_at_least(const std::byte* from, int bytes_per_token, int64_t count,
                                    uint64_t limit);

/// Id number `index`.
[[nodiscard]] uint32_t id_at(const std::byte* from, int bytes_per_token, int64_t index);

}  // namespace loopbank
