/// Well-formedness of UTF-8 as Unicode 15 states it in table 3-7: no overlong forms, no
/// surrogates, nothing above U+10FFFF.

#include "loopbank/support/utf8.h"

#include <algorithm>

#include <cstdint>
#include <cstring>

namespace loopbank {
namespace {

/// Length of the sequence that starts with `lead` and the range of its second byte; the bytes
/// after that are always 80..BF. Length 0: no sequence starts so.
struct SequenceForm {
  size_t length;
  unsigned char second_low;
  unsigned char second_high;
};

SequenceForm sequence_form_of(unsigned char lead) {
  if (lead < 0x80) {
    return {1, 0, 0};
  }
  if (lead < 0xC2) {
    return {0, 0, 0};  // a continuation byte, or an overlong form of ASCII
  }
  if (lead < 0xE0) {
    return {2, 0x80, 0xBF};
  }
  if (lead < 0xF0) {
    const unsigned char low = lead == 0xE0 ? 0xA0 : 0x80;
    const unsigned char high = lead == 0xED ? 0x9F : 0xBF;  // D800..DFFF are no characters
    return {3, low, high};
  }
  if (lead < 0xF5) {
    const unsigned char low = lead == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xF4 ? 0x8F : 0xBF;
    return {4, low, high};
  }
  return {0, 0, 0};
}

size_t sequence_length(const unsigned char* bytes, size_t left) {
  const auto form = sequence_form_of(bytes[0]);
  if (form.length > left) {
    return 0;
  }
  if (form.length >= 2 && (bytes[1] < form.second_low || bytes[1] > form.second_high)) {
    return 0;
  }
  for (size_t i = 2; i < form.length; ++i) {
    if (bytes[i] < 0x80 || bytes[i] > 0xBF) {
      return 0;
    }
  }
  return form.length;
}

}  // namespace

size_t valid_utf8_prefix(std::string_view text) {
  constexpr uint64_t kHighBits = 0x8080808080808080ULL;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  size_t at = 0;
  while (at < text.size()) {
    uint64_t eight = 0;
    if (text.size() - at >= sizeof(eight)) {
      std::memcpy(&eight, bytes + at, sizeof(eight));
      if ((eight & kHighBits) == 0) {
        at += sizeof(eight);
        continue;
      }
    }
    const size_t length = sequence_length(bytes + at, text.size() - at);
    if (length == 0) {
      return at;
    }
    at += length;
  }
  return at;
}

bool is_valid_utf8(std::string_view text) {
  return valid_utf8_prefix(text) == text.size();
}

int64_t count_code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
  });
}

}  // namespace loopbank
