#include "loopbank/benchmark/hops.h"

#include <optional>

namespace loopbank {
namespace {

/// One hop: the place behind the last earlier symbol that equals that at `place`.
std::optional<size_t> hop(const std::string& text, size_t place) {
  const auto before = place == 0 ? std::string::npos : text.rfind(text[place], place - 1);
  return before == std::string::npos ? std::nullopt : std::optional(before + 1);
}

}  // namespace

Example draw_hops(int64_t p, int64_t symbols, int64_t length, RandomStream& random) {
  while (true) {
    std::string text;
    for (int64_t i = 0; i < length; ++i) {
      text += static_cast<char>('a' + random.below(static_cast<uint64_t>(symbols)));
    }
    std::optional<size_t> place = text.size() - 1;
    for (int64_t hops = 0; hops < p && place; ++hops) {
      place = hop(text, *place);
    }
    if (!place) {
      continue;
    }
    Example example{.context = std::to_string(p) + " :", .answer = {text[*place]}, .steps = {p}};
    for (const char symbol : text) {
      example.context += {' ', symbol};
    }
    example.context += " =";
    for (int64_t i = 0; i < symbols; ++i) {
      example.choices.push_back({static_cast<char>('a' + i)});
    }
    return example;
  }
}

}  // namespace loopbank
