#pragma once
/// Amounts of bytes as people write them: 141GB, 80GiB, 512MB; of a bandwidth 50GB/s.

#include <string_view>

namespace loopbank {

/// The bytes that a text stands for: a number above 0 followed by its unit, B, kB, MB, GB, TB, or
/// KiB, MiB, GiB.
/// @param where  what the text was given for, for the error: "--device-memory"
/// @throws Error kConfig for anything else, a number without a unit included
[[nodiscard]] double parse_bytes(std::string_view where, std::string_view text);

/// The same of a bandwidth, whose unit is followed by /s, in bytes a second.
/// @throws Error kConfig likewise
[[nodiscard]] double parse_bandwidth(std::string_view where, std::string_view text);

}  // namespace loopbank
