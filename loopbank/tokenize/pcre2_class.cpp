#include "loopbank/tokenize/pcre2_class.h"

#include <fmt/format.h>

#include <map>
#include <mutex>
#include <vector>

#include "loopbank/tokenize/pcre2_code.h"

namespace loopbank {
namespace {

constexpr char32_t kHighestCodePoint = 0x10FFFF;

/// Whether the PCRE2 class holds exactly these characters.
bool holds_exactly(const std::string& inside, const CodePointSet& expected) {
  std::string all;
  all.reserve(size_t{4} << 20U);
  for (char32_t point = 0; point <= kHighestCodePoint; ++point) {
    if (point < 0xD800 || point > 0xDFFF) {
      append_utf8(all, point);
    }
  }
  const Pcre2Code code("[" + inside + "]+");
  const Pcre2MatchData data;
  std::vector<CodePointRange> found;
  size_t from = 0;
  while (const auto match = code.search(all, from, data)) {
    size_t at = match->begin;
    const char32_t first = next_code_point(all, at);
    size_t last_byte = match->end - 1;
    while ((static_cast<unsigned char>(all[last_byte]) & 0xC0U) == 0x80U) {
      --last_byte;
    }
    found.push_back({first, next_code_point(all, last_byte)});
    from = match->end;
  }
  // The surrogates are in no text: a range across them is one match, or two.
  const CodePointSet surrogates({{0xD800, 0xDFFF}});
  return CodePointSet(std::move(found)).without(surrogates) == expected.without(surrogates);
}

}  // namespace

std::string pcre2_ranges(const CodePointSet& set) {
  std::string text;
  for (const auto& range : set.ranges()) {
    text += fmt::format("\\x{{{:x}}}", static_cast<uint32_t>(range.first));
    if (range.last > range.first) {
      text += fmt::format("-\\x{{{:x}}}", static_cast<uint32_t>(range.last));
    }
  }
  return text;
}

std::optional<std::string> pcre2_class_of(const std::string& category) {
  static std::mutex mutex;
  static std::map<std::string, std::optional<std::string>> known;
  const std::lock_guard lock(mutex);
  const auto found = known.find(category);
  if (found != known.end()) {
    return found->second;
  }
  auto& result = known[category];
  const auto expected = code_points_of(category);
  const auto plain = "\\p{" + category + "}";
  for (const auto& inside : {plain, plain + pcre2_ranges(newer_code_points(category))}) {
    if (expected && holds_exactly(inside, *expected)) {
      result = inside;
      break;
    }
  }
  return result;
}

}  // namespace loopbank
