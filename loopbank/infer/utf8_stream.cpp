#include "loopbank/infer/utf8_stream.h"

#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

/// Whether a character begins with these bytes (at least one). The endings tried stand for all:
/// what may follow a first byte always includes 80 or BF (Unicode 15, table 3-7).
bool can_be_completed(std::string_view begin) {
  for (const std::string_view ending :
       {"\x80", "\x80\x80", "\x80\x80\x80", "\xBF", "\xBF\x80", "\xBF\x80\x80"}) {
    if (is_valid_utf8(std::string(begin) + std::string(ending))) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  pending_ += bytes;
  std::string text;
  while (!pending_.empty()) {
    const auto good = valid_utf8_prefix(pending_);
    text.append(pending_, 0, good);
    pending_.erase(0, good);
    if (pending_.empty() || can_be_completed(pending_)) {
      break;
    }
    text += kReplacement;
    pending_.erase(0, 1);
  }
  return text;
}

std::string Utf8Stream::finish() {
  std::string text;
  for (size_t i = 0; i < pending_.size(); ++i) {
    text += kReplacement;
  }
  pending_.clear();
  return text;
}

}  // namespace loopbank
