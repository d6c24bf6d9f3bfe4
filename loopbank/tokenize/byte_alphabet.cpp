#include "loopbank/tokenize/byte_alphabet.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace loopbank {
namespace {

constexpr size_t kNumBytes = 256;
constexpr size_t kNumCharacters = 256 + 68;  // every character of the alphabet is below this

constexpr bool stands_for_itself(size_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr std::array<uint16_t, kNumBytes> make_characters() {
  std::array<uint16_t, kNumBytes> characters{};
  uint16_t next = 0x100;
  for (size_t byte = 0; byte < kNumBytes; ++byte) {
    characters[byte] = stands_for_itself(byte) ? static_cast<uint16_t>(byte) : next++;
  }
  return characters;
}

constexpr auto kCharacterOfByte = make_characters();

/// The byte of each character; -1 for those that are not in the alphabet.
constexpr std::array<int16_t, kNumCharacters> make_bytes() {
  std::array<int16_t, kNumCharacters> bytes{};
  bytes.fill(-1);
  for (size_t byte = 0; byte < kNumBytes; ++byte) {
    bytes[kCharacterOfByte[byte]] = static_cast<int16_t>(byte);
  }
  return bytes;
}

constexpr auto kByteOfCharacter = make_bytes();

}  // namespace

std::string spell_bytes(std::string_view bytes) {
  std::string spelling;
  spelling.reserve(bytes.size() + bytes.size() / 4);
  for (const char byte : bytes) {
    const auto character = kCharacterOfByte[static_cast<unsigned char>(byte)];
    if (character < 0x80) {
      spelling.push_back(static_cast<char>(character));
    } else {  // all others lie below U+0800: two bytes
      spelling.push_back(static_cast<char>(0xC0 | (character >> 6)));
      spelling.push_back(static_cast<char>(0x80 | (character & 0x3F)));
    }
  }
  return spelling;
}

std::optional<std::string> bytes_of_spelling(std::string_view spelling) {
  std::string bytes;
  bytes.reserve(spelling.size());
  for (size_t i = 0; i < spelling.size(); ++i) {
    size_t character = static_cast<unsigned char>(spelling[i]);
    if (character >= 0x80) {
      if (character >= 0xE0 || i + 1 == spelling.size()) {
        return std::nullopt;  // a character of three bytes or more
      }
      const size_t second = static_cast<unsigned char>(spelling[++i]);
      character = ((character & 0x1F) << 6) | (second & 0x3F);
    }
    if (character >= kNumCharacters || kByteOfCharacter[character] < 0) {
      return std::nullopt;
    }
    bytes.push_back(static_cast<char>(kByteOfCharacter[character]));
  }
  return bytes;
}

}  // namespace loopbank
