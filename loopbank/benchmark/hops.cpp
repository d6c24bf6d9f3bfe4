#include "loopbank/benchmark/hops.h"

#include <fmt/format.h>

#include <map>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// Strings that are drawn in search of one with enough hops.
constexpr int64_t kMostStrings = 5000;
/// Those with enough hops in search of one whose answer is the wanted one.
constexpr int64_t kMostOfOneAnswer = 500;
constexpr char kNoAnswer = '-';

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

/// The answer at each place.
std::string answers_of(const std::string& text, int64_t p) {
  std::vector<size_t> find;  // one hop from each place; the string's size where there is none
  std::map<char, size_t> behind_last;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto last = behind_last.find(text[i]);
    find.push_back(last == behind_last.end() ? text.size() : last->second);
    behind_last[text[i]] = i + 1;
  }
  std::string answers;
  for (size_t i = 0; i < text.size(); ++i) {
    auto place = i;
    for (int64_t hop = 0; hop < p && place < text.size(); ++hop) {
      place = find[place];
    }
    answers += place < text.size() ? static_cast<char>(text[place] - 'a' + 'A') : kNoAnswer;
  }
  return answers;
}

/// What a symbol is to the last two of its string. As all symbols are drawn alike, answers that are
/// each of these as often as chance has it are equally often each symbol.
enum class Relation { kLast, kOneBefore, kOther };

Relation relation_of(const std::string& text, char answer) {
  const auto symbol = static_cast<char>(answer - 'A' + 'a');
  return symbol == text.back()             ? Relation::kLast
         : symbol == text[text.size() - 2] ? Relation::kOneBefore
                                           : Relation::kOther;
}

Relation draw_relation(int64_t p, int64_t symbols, RandomStream& random) {
  // One hop never leads to a symbol equal to the last.
  const auto answer = random.between(p == 1 ? 1 : 0, symbols - 1);
  return answer == 0 ? Relation::kLast : answer == 1 ? Relation::kOneBefore : Relation::kOther;
}

}  // namespace

Example draw_hops(int64_t p, const HopOptions& options, RandomStream& random) {
  const auto wanted = draw_relation(p, options.symbols, random);
  int64_t others = 0;
  for (int64_t drawn = 0; drawn < kMostStrings; ++drawn) {
    const auto text = draw_string(options, random);
    const auto answers = answers_of(text, p);
    if (answers.back() == kNoAnswer ||
        (relation_of(text, answers.back()) != wanted && ++others < kMostOfOneAnswer)) {
      continue;
    }
    Example example{.difficulty = p,
                    .statement = fmt::format("{}\n", p),
                    .question = {text.back()},
                    .answer = {answers.back()},
                    .steps = {p},
                    .key = text};
    for (size_t i = 0; i + 1 < text.size(); ++i) {
      example.statement += {text[i], ' ', answers[i], '\n'};
    }
    for (int64_t i = 0; i < options.symbols; ++i) {
      example.choices.push_back({static_cast<char>('A' + i)});
    }
    return example;
  }
  fail(ErrorCode::kConfig,
       "p-hop: expected strings of {} symbols that have {} hops, found none in {}. Raise length or "
       "ask for fewer hops.",
       options.length, p, kMostStrings);
}

}  // namespace loopbank
