#include "loopbank/tokenize/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "loopbank/support/error.h"
#include "loopbank/support/utf8.h"
#include "loopbank/tokenize/code_points.h"

namespace loopbank {
namespace {

/// Came after Unicode 9 and take part in normal forms or are marks, or lie in a block of later
/// scripts: for the normal forms plain symbols that stand alone.
const CodePointSet& younger_than_unicode9() {
  static const CodePointSet set({
      {0x7FD, 0x7FD},     {0x897, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
      {0xAFA, 0xAFF},     {0xB55, 0xB55},     {0xC04, 0xC04},     {0xC3C, 0xC3C},
      {0xCF3, 0xCF3},     {0xD00, 0xD00},     {0xD3B, 0xD3C},     {0xD81, 0xD81},
      {0xEBA, 0xEBA},     {0xECE, 0xECE},     {0x1715, 0x1715},   {0x180F, 0x180F},
      {0x1ABF, 0x1AFF},   {0x1CF7, 0x1CF7},   {0x1DF6, 0x1DFA},   {0x32FF, 0x32FF},
      {0xA7F1, 0xA7F4},   {0xA82C, 0xA82C},   {0xA8FF, 0xA8FF},   {0xAB69, 0xAB69},
      {0x105C0, 0x105FF}, {0x10780, 0x107BF}, {0x10D00, 0x10D8F}, {0x10E80, 0x10EFF},
      {0x10F30, 0x10FAF}, {0x11070, 0x11070}, {0x11073, 0x11074}, {0x110C2, 0x110C2},
      {0x11145, 0x11146}, {0x111C9, 0x111C9}, {0x111CE, 0x111CF}, {0x11241, 0x11241},
      {0x1133B, 0x1133B}, {0x11380, 0x113FF}, {0x1145E, 0x1145E}, {0x11800, 0x1184F},
      {0x11900, 0x1195F}, {0x119A0, 0x11AAF}, {0x11B60, 0x11B7F}, {0x11D00, 0x11DEF},
      {0x11EE0, 0x11F5F}, {0x13440, 0x13455}, {0x16100, 0x1613F}, {0x16D40, 0x16D7F},
      {0x16F4F, 0x16F4F}, {0x16F7F, 0x16F87}, {0x16FE4, 0x16FFF}, {0x1CC00, 0x1CF4F},
      {0x1E030, 0x1E14F}, {0x1E290, 0x1E2FF}, {0x1E4D0, 0x1E6FF}, {0x1F16C, 0x1F16C},
      {0x1FB00, 0x1FBFF},
  });
  return set;
}

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

/// Bytes of a character.
size_t size_of(char32_t code_point) {
  return code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
}

/// Lower case letters of Unicode 16 and 17: those of a range lie `distance` behind.
struct LowerCaseRange {
  char32_t first;
  char32_t last;
  int32_t distance;
};
constexpr auto kLowerCaseOfUnicode17 = std::to_array<LowerCaseRange>({{0x1C89, 0x1C89, 1},
                                                                      {0xA7CB, 0xA7CB, -0xA567},
                                                                      {0xA7CC, 0xA7CC, 1},
                                                                      {0xA7CE, 0xA7CE, 1},
                                                                      {0xA7D2, 0xA7D2, 1},
                                                                      {0xA7D4, 0xA7D4, 1},
                                                                      {0xA7DA, 0xA7DA, 1},
                                                                      {0xA7DC, 0xA7DC, -0xA641},
                                                                      {0x10D50, 0x10D65, 0x20},
                                                                      {0x16EA0, 0x16EB8, 0x1B}});

int utf8proc_options(NormalForm form) {
  switch (form) {
    case NormalForm::kNfc:
      return UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    case NormalForm::kNfd:
      return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    case NormalForm::kNfkc:
      return UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    case NormalForm::kNfkd:
      break;
  }
  return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
}

/// Appends the normal form of a run of characters that all take part in it.
void append_normal_form(std::string_view run, NormalForm form, std::string& result) {
  if (run.empty()) {
    return;
  }
  utf8proc_uint8_t* mapped = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(run.data()),
                                 static_cast<utf8proc_ssize_t>(run.size()), &mapped,
                                 static_cast<utf8proc_option_t>(utf8proc_options(form)));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  if (size < 0) {
    fail(ErrorCode::kData, "normalizer: expected a normal form of {} bytes of text, got: {}.",
         run.size(), utf8proc_errmsg(size));
  }
  result.append(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
}

}  // namespace

std::optional<char32_t> first_character(std::string_view text) {
  constexpr size_t kLongest = 4;
  size_t size = 1;
  while (size < std::min(text.size(), kLongest) && is_continuation(text[size])) {
    ++size;
  }
  text = text.substr(0, size);
  size_t at = 0;
  return text.empty() || !is_valid_utf8(text) ? std::nullopt
                                              : std::optional(next_code_point(text, at));
}

std::optional<char32_t> last_character(std::string_view text) {
  size_t begin = text.empty() ? 0 : text.size() - 1;
  while (begin > 0 && is_continuation(text[begin])) {
    --begin;
  }
  const auto character = text.substr(begin);
  return is_valid_utf8(character) ? first_character(character) : std::nullopt;
}

size_t leading_white_space(std::string_view text) {
  size_t size = 0;
  while (const auto character = first_character(text.substr(size))) {
    if (!white_space().contains(*character)) {
      break;
    }
    size += size_of(*character);
  }
  return size;
}

size_t trailing_white_space(std::string_view text) {
  size_t size = 0;
  while (const auto character = last_character(text.substr(0, text.size() - size))) {
    if (!white_space().contains(*character)) {
      break;
    }
    size += size_of(*character);
  }
  return size;
}

bool is_mark(char32_t code_point) {
  if (code_point == 0x1CF2 || code_point == 0x1CF3) {
    return true;  // letters since Unicode 12
  }
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
  return (category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
          category == UTF8PROC_CATEGORY_ME) &&
         !younger_than_unicode9().contains(code_point);
}

void append_lower_case(char32_t code_point, std::string& text) {
  if (code_point == 0x130) {  // the one letter whose lower case is two characters
    text += "i\u0307";
    return;
  }
  for (const auto& range : kLowerCaseOfUnicode17) {
    if (code_point >= range.first && code_point <= range.last) {
      append_utf8(text, static_cast<char32_t>(static_cast<int32_t>(code_point) + range.distance));
      return;
    }
  }
  append_utf8(text,
              static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code_point))));
}

std::string to_normal_form(std::string_view text, NormalForm form) {
  std::string result;
  result.reserve(text.size() + text.size() / 8);
  size_t at = 0;
  while (at < text.size()) {
    // ASCII is its own normal form, but for the last character before a mark.
    size_t ascii = at;
    while (ascii < text.size() && static_cast<uint8_t>(text[ascii]) < 0x80) {
      ++ascii;
    }
    const size_t run = ascii > at && ascii < text.size() ? ascii - 1 : ascii;
    result += text.substr(at, run - at);
    size_t end = ascii;
    size_t behind = ascii;
    bool younger = false;
    while (end < text.size() && static_cast<uint8_t>(text[end]) >= 0x80) {
      behind = end;
      younger = younger_than_unicode9().contains(next_code_point(text, behind));
      if (younger) {
        break;
      }
      end = behind;
    }
    append_normal_form(text.substr(run, end - run), form, result);
    if (younger) {
      result += text.substr(end, behind - end);
      end = behind;
    }
    at = end;
  }
  return result;
}

std::string with_replacement_characters(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for_each_utf8_run(
      text, [&](std::string_view run, size_t) { result += run; },
      [&](std::string_view) { result += "\uFFFD"; });
  return result;
}

}  // namespace loopbank
