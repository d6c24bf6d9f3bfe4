#include "loopbank/benchmark/hops.h"

#include <fmt/format.h>

#include <optional>
#include <set>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// Strings that are drawn in search of one with enough hops.
constexpr int64_t kMostStrings = 2000;

/// Where p hops of `text` with `end` behind it lead; nothing where they leave the string.
std::optional<size_t> follow(const std::string& text, char end, int64_t p) {
  auto symbol = end;
  auto place = text.size();
  for (int64_t hop = 0; hop < p; ++hop) {
    const auto before = place == 0 ? std::string::npos : text.rfind(symbol, place - 1);
    if (before == std::string::npos) {
      return std::nullopt;
    }
    place = before + 1;
    symbol = text[place];  // within: neighbours differ, the string's last symbol and `end` too
  }
  return place;
}

std::string draw_string(const HopOptions& options, RandomStream& random) {
  const auto symbols = static_cast<uint64_t>(options.symbols);
  std::string text = {static_cast<char>('a' + random.below(symbols))};
  while (std::ssize(text) < options.length) {
    const auto skipped = 1 + random.below(symbols - 1);
    const auto next = (static_cast<uint64_t>(text.back() - 'a') + skipped) % symbols;
    text += static_cast<char>('a' + next);
  }
  return text;
}

/// A question of p hops that is not in `asked`, which it joins, where the string has one.
std::optional<Example> ask_hops(const std::string& text, int64_t p, int64_t symbols,
                                std::set<std::string>& asked, RandomStream& random) {
  std::vector<Example> possible;
  std::vector<std::string> choices;
  for (char end = 'a'; end < 'a' + symbols; ++end) {
    choices.push_back({end});
    auto question = fmt::format("{}{}=", p, end);
    const auto place = end == text.back() ? std::nullopt : follow(text, end, p);
    if (place && asked.count(question) == 0) {
      possible.push_back({.difficulty = p,
                          .statement = text + "\n",
                          .question = std::move(question),
                          .answer = {text[*place]},
                          .steps = {p},
                          .key = text});
    }
  }
  if (possible.empty()) {
    return std::nullopt;
  }
  auto& chosen = possible[random.below(possible.size())];
  chosen.choices = std::move(choices);
  asked.insert(chosen.question);
  return std::move(chosen);
}

}  // namespace

std::vector<Example> draw_hops(const std::vector<int64_t>& hops, const HopOptions& options,
                               RandomStream& random) {
  for (int64_t drawn = 0; drawn < kMostStrings; ++drawn) {
    const auto text = draw_string(options, random);
    std::vector<Example> examples;
    std::set<std::string> asked;
    for (const auto p : hops) {
      auto example = ask_hops(text, p, options.symbols, asked, random);
      if (example) {
        examples.push_back(std::move(*example));
      } else if (examples.empty()) {
        break;
      }
    }
    if (!examples.empty()) {
      return examples;
    }
  }
  fail(ErrorCode::kConfig,
       "p-hop: expected strings of {} symbols that have {} hops, found none in {}. Raise length or "
       "ask for fewer hops.",
       options.length, hops.front(), kMostStrings);
}

}  // namespace loopbank
