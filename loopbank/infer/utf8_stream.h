#pragma once
/// Bytes as they come from tokens, returned as well-formed UTF-8.

#include <cstddef>
#include <string>
#include <string_view>

namespace loopbank {

/// Holds back the beginning of a character until the rest has arrived. A byte that belongs to no
/// character becomes U+FFFD.
class Utf8Stream {
 public:
  /// The text that is complete now; may be empty.
  [[nodiscard]] std::string push(std::string_view bytes);
  /// What was held back, as U+FFFD for each byte; empties the stream.
  [[nodiscard]] std::string finish();
  /// Bytes held back.
  [[nodiscard]] size_t pending_bytes() const { return pending_.size(); }

 private:
  std::string pending_;
};

}  // namespace loopbank
