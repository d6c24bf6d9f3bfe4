#include "loopbank/eval/python_text.h"

#include <array>

namespace loopbank {
namespace {

/// One character of a text.
struct Character {
  char32_t code = 0;
  size_t num_bytes = 1;
};

/// The character that begins at `at`; well-formed UTF-8.
Character character_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char lead = byte(0);
  const size_t num_bytes = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (num_bytes == 1 || at + num_bytes > text.size()) {
    return {.code = lead, .num_bytes = 1};
  }
  char32_t code = lead & (0x7FU >> num_bytes);
  for (size_t i = 1; i < num_bytes; ++i) {
    code = (code << 6) | (byte(i) & 0x3FU);
  }
  return {.code = code, .num_bytes = num_bytes};
}

/// Only characters that `lower` and `upper` give: below U+0800.
void append_character(std::string& text, char32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else {
    text += static_cast<char>(0xC0 | (code >> 6));
    text += static_cast<char>(0x80 | (code & 0x3F));
  }
}

/// `str.isspace()`.
bool is_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 ||
         code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool within(char32_t code, char32_t first, char32_t last) {
  return code >= first && code <= last;
}

/// Lower case where the alphabets named in the header have one, else the same code.
char32_t lower(char32_t code) {
  const bool even = code % 2 == 0;
  if (within(code, U'A', U'Z') || (within(code, 0xC0, 0xDE) && code != 0xD7) ||
      (within(code, 0x391, 0x3AB) && code != 0x3A2) || within(code, 0x410, 0x42F)) {
    return code + 32;
  }
  if (within(code, 0x100, 0x12F) || within(code, 0x132, 0x137) || within(code, 0x14A, 0x177)) {
    return even ? code + 1 : code;
  }
  if (within(code, 0x139, 0x148) || within(code, 0x179, 0x17E)) {
    return even ? code : code + 1;
  }
  if (within(code, 0x400, 0x40F)) {
    return code + 80;
  }
  if (within(code, 0x388, 0x38A)) {  // Greek with an accent
    return code + 37;
  }
  if (code == 0x386 || code == 0x38C) {
    return code == 0x386 ? 0x3AC : 0x3CC;
  }
  if (within(code, 0x38E, 0x38F)) {
    return code + 63;
  }
  return code == 0x178 ? 0xFF : code;
}

char32_t upper(char32_t code) {
  constexpr std::array<char32_t, 7> kDistances = {32, 1, 80, 37, 38, 63, 64};
  for (const char32_t distance : kDistances) {
    if (code > distance && lower(code - distance) == code) {
      return code - distance;
    }
  }
  return code == 0xFF ? 0x178 : code;
}

void append_changed(std::string& text, std::string_view source, size_t at, Character was,
                    char32_t code) {
  if (code == was.code) {
    text += source.substr(at, was.num_bytes);
  } else {
    append_character(text, code);
  }
}

}  // namespace

std::string_view python_strip(std::string_view text) {
  size_t begin = text.size();
  size_t end = 0;
  for (size_t at = 0; at < text.size();) {
    const auto character = character_at(text, at);
    const size_t next = at + character.num_bytes;
    if (!is_space(character.code)) {
      begin = begin == text.size() ? at : begin;
      end = next;
    }
    at = next;
  }
  return end == 0 ? std::string_view() : text.substr(begin, end - begin);
}

std::string_view python_rstrip(std::string_view text) {
  size_t end = 0;
  for (size_t at = 0; at < text.size();) {
    const auto character = character_at(text, at);
    at += character.num_bytes;
    end = is_space(character.code) ? end : at;
  }
  return text.substr(0, end);
}

std::string python_join_words(std::string_view text) {
  std::string joined;
  bool gap = false;
  for (size_t at = 0; at < text.size();) {
    const auto character = character_at(text, at);
    if (is_space(character.code)) {
      gap = !joined.empty();
    } else {
      joined += gap ? " " : "";
      joined += text.substr(at, character.num_bytes);
      gap = false;
    }
    at += character.num_bytes;
  }
  return joined;
}

std::string python_capitalize(std::string_view text) {
  std::string changed;
  for (size_t at = 0; at < text.size();) {
    const auto character = character_at(text, at);
    append_changed(changed, text, at, character,
                   at == 0 ? upper(character.code) : lower(character.code));
    at += character.num_bytes;
  }
  return changed;
}

std::string capitalize_first(std::string_view text) {
  if (text.empty()) {
    return "";
  }
  std::string changed;
  const auto first = character_at(text, 0);
  append_changed(changed, text, 0, first, upper(first.code));
  return changed.append(text.substr(first.num_bytes));
}

}  // namespace loopbank
