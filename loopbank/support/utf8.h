#pragma once
/// Whether bytes are well-formed UTF-8, how far, and how many characters they are.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace loopbank {

/// Whether the bytes are well-formed UTF-8 (Unicode 15, table 3-7).
[[nodiscard]] bool is_valid_utf8(std::string_view text);

/// Position of the first byte that is not part of well-formed UTF-8; text.size() if all is.
[[nodiscard]] size_t valid_utf8_prefix(std::string_view text);

/// Code points of well-formed UTF-8: its bytes but for those that continue one.
[[nodiscard]] int64_t count_code_points(std::string_view text);

}  // namespace loopbank
