#include "loopbank/tokenize/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <span>

#include "loopbank/support/error.h"
#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

constexpr uint32_t kReplacementCharacter = 0xFFFD;

struct CharacterRange {
  uint32_t first;
  uint32_t last;
};

constexpr bool sorted_and_apart(std::span<const CharacterRange> ranges) {
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].first > ranges[i].last || (i > 0 && ranges[i - 1].last >= ranges[i].first)) {
      return false;
    }
  }
  return true;
}

bool contains(std::span<const CharacterRange> ranges, uint32_t code_point) {
  const auto behind =
      std::upper_bound(ranges.begin(), ranges.end(), code_point,
                       [](uint32_t value, const auto& range) { return value < range.first; });
  return behind != ranges.begin() && code_point <= (behind - 1)->last;
}

/// Came after Unicode 9 and take part in normal forms or are marks, or lie in a block of later
/// scripts: for the normal forms plain symbols that stand alone.
constexpr auto kYoungerThanUnicode9 = std::to_array<CharacterRange>({
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
static_assert(sorted_and_apart(kYoungerThanUnicode9));

/// Letters, digits and marks of Unicode 15.1 and 16.
constexpr auto kWordsOfUnicode16 = std::to_array<CharacterRange>({
    {0x897, 0x897},     {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},
    {0x105C0, 0x105F3}, {0x10D40, 0x10D65}, {0x10D69, 0x10D6D}, {0x10D6F, 0x10D85},
    {0x10EC2, 0x10EC4}, {0x10EFC, 0x10EFC}, {0x11380, 0x11389}, {0x1138B, 0x1138B},
    {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113C0}, {0x113C2, 0x113C2},
    {0x113C5, 0x113C5}, {0x113C7, 0x113CA}, {0x113CC, 0x113D3}, {0x113E1, 0x113E2},
    {0x116D0, 0x116E3}, {0x11BC0, 0x11BE0}, {0x11BF0, 0x11BF9}, {0x11F5A, 0x11F5A},
    {0x13460, 0x143FA}, {0x16100, 0x16139}, {0x16D40, 0x16D6C}, {0x16D70, 0x16D79},
    {0x18CFF, 0x18CFF}, {0x1CCF0, 0x1CCF9}, {0x1E5D0, 0x1E5FA}, {0x2EBF0, 0x2EE5D},
});
static_assert(sorted_and_apart(kWordsOfUnicode16));

/// The letters in circles and squares, which are symbols with the property Alphabetic.
constexpr auto kEnclosedLetters = std::to_array<CharacterRange>(
    {{0x24B6, 0x24E9}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}});

constexpr auto kWhiteSpace = std::to_array<CharacterRange>({{0x9, 0xD},
                                                            {0x20, 0x20},
                                                            {0x85, 0x85},
                                                            {0xA0, 0xA0},
                                                            {0x1680, 0x1680},
                                                            {0x2000, 0x200A},
                                                            {0x2028, 0x2029},
                                                            {0x202F, 0x202F},
                                                            {0x205F, 0x205F},
                                                            {0x3000, 0x3000}});

/// Lower case letters of Unicode 16 and 17: those of a range lie `distance` behind.
struct LowerCaseRange {
  uint32_t first;
  uint32_t last;
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

uint32_t read_character(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  const uint32_t first = byte(at);
  if (first < 0x80) {
    ++at;
    return first;
  }
  const size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (at + size > text.size()) {
    at = text.size();
    return kReplacementCharacter;
  }
  uint32_t code_point = first & (0x7FU >> size);
  for (size_t i = 1; i < size; ++i) {
    code_point = code_point << 6U | (byte(at + i) & 0x3FU);
  }
  at += size;
  return code_point;
}

size_t previous_character(std::string_view text, size_t end) {
  do {
    --end;
  } while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0U) == 0x80U);
  return end;
}

void append_character(uint32_t code_point, std::string& text) {
  const auto put = [&](uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0U | code_point >> 6U);
    put(0x80U | (code_point & 0x3FU));
  } else if (code_point < 0x10000) {
    put(0xE0U | code_point >> 12U);
    put(0x80U | (code_point >> 6U & 0x3FU));
    put(0x80U | (code_point & 0x3FU));
  } else {
    put(0xF0U | code_point >> 18U);
    put(0x80U | (code_point >> 12U & 0x3FU));
    put(0x80U | (code_point >> 6U & 0x3FU));
    put(0x80U | (code_point & 0x3FU));
  }
}

bool is_white_space(uint32_t code_point) {
  return contains(kWhiteSpace, code_point);
}

bool is_word_character(uint32_t code_point) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      break;
  }
  constexpr uint32_t kZeroWidthNonJoiner = 0x200C;
  constexpr uint32_t kZeroWidthJoiner = 0x200D;
  return code_point == kZeroWidthNonJoiner || code_point == kZeroWidthJoiner ||
         contains(kEnclosedLetters, code_point) || contains(kWordsOfUnicode16, code_point);
}

bool is_mark(uint32_t code_point) {
  if (code_point == 0x1CF2 || code_point == 0x1CF3) {
    return true;  // letters since Unicode 12
  }
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
  return (category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
          category == UTF8PROC_CATEGORY_ME) &&
         !contains(kYoungerThanUnicode9, code_point);
}

size_t leading_white_space(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    size_t next = at;
    if (!is_white_space(read_character(text, next))) {
      break;
    }
    at = next;
  }
  return at;
}

size_t trailing_white_space(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    const size_t begin = previous_character(text, end);
    size_t at = begin;
    if (!is_white_space(read_character(text, at))) {
      break;
    }
    end = begin;
  }
  return text.size() - end;
}

void append_lower_case(uint32_t code_point, std::string& text) {
  if (code_point == 0x130) {  // the one letter whose lower case is two characters
    text += "i\u0307";
    return;
  }
  for (const auto& range : kLowerCaseOfUnicode17) {
    if (code_point >= range.first && code_point <= range.last) {
      append_character(static_cast<uint32_t>(static_cast<int32_t>(code_point) + range.distance),
                       text);
      return;
    }
  }
  append_character(
      static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code_point))), text);
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
      younger = contains(kYoungerThanUnicode9, read_character(text, behind));
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
  while (!text.empty()) {
    const size_t valid = valid_utf8_prefix(text);
    result += text.substr(0, valid);
    if (valid < text.size()) {
      result += "\uFFFD";
    }
    text.remove_prefix(std::min(valid + 1, text.size()));
  }
  return result;
}

}  // namespace loopbank
