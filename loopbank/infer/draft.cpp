#include "loopbank/infer/draft.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "loopbank/model/config.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr int64_t kMostGuesses = 64;
constexpr int64_t kLongestMatch = 3;
constexpr int64_t kShortestMatch = 2;
// Passes of a stretch: of a first look at either way, and of the way that was faster.
constexpr int64_t kTrialPasses = 8;
constexpr int64_t kSettledPasses = 256;

std::optional<int64_t> whole_number(std::string_view text, int64_t most) {
  int64_t value = 0;
  const auto* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  const bool good = error == std::errc() && stop == end && value >= 1 && value <= most;
  return good ? std::optional(value) : std::nullopt;
}

}  // namespace

DraftOptions DraftOptions::parse(std::string_view text, std::string_view where) {
  DraftOptions options;
  const auto comma = text.find(',');
  const auto kind = text.substr(0, comma);
  std::optional<int64_t> tokens = options.tokens;
  if (comma != std::string_view::npos) {
    tokens = whole_number(text.substr(comma + 1), kMostGuesses);
  }
  std::optional<int64_t> loops = 0;
  constexpr std::string_view kLoopsName = "loops:";
  if (kind.starts_with(kLoopsName)) {
    options.kind = Kind::kLoops;
    loops = whole_number(kind.substr(kLoopsName.size()), kMaxLoops);
  } else if (kind == "lookup") {
    options.kind = Kind::kLookup;
  } else if (kind != "none") {
    loops = std::nullopt;
  }
  if (!tokens || !loops) {
    fail(ErrorCode::kConfig,
         "{}: expected none, lookup or loops:n with n from 1 to {}, each with \",k\" behind it for "
         "k "
         "guesses a pass, 1 to {}, got \"{}\".",
         where, kMaxLoops, kMostGuesses, text);
  }
  options.loops = *loops;
  options.tokens = *tokens;
  return options;
}

std::vector<TokenId> look_up(std::span<const TokenId> text, int64_t most) {
  const auto size = static_cast<int64_t>(text.size());
  for (auto length = std::min(kLongestMatch, size - 1); length >= kShortestMatch; --length) {
    const auto last = text.last(static_cast<size_t>(length));
    // The latest place that ends before the text does.
    for (auto begin = size - length - 1; begin >= 0; --begin) {
      if (std::equal(last.begin(), last.end(), text.begin() + begin)) {
        const auto from = begin + length;
        const auto count = std::min(most, size - from);
        return {text.begin() + from, text.begin() + from + count};
      }
    }
  }
  return {};
}

void DraftTrial::add(double seconds, int64_t tokens) {
  auto& rate = drafts_ ? drafted_ : plain_;
  rate.seconds += seconds;
  rate.tokens += static_cast<double>(tokens);
  if (++passes_ < stretch_) {
    return;
  }
  passes_ = 0;
  const bool knows_both = plain_.seconds > 0.0 && drafted_.seconds > 0.0;
  if (!knows_both) {
    drafts_ = !drafts_;
    stretch_ = kTrialPasses;
    return;
  }
  // What is measured anew counts as much as all before.
  const bool pays = drafted_.tokens * plain_.seconds > plain_.tokens * drafted_.seconds;
  const bool settled = stretch_ == kSettledPasses;
  drafts_ = settled ? !drafts_ : pays;
  stretch_ = settled ? kTrialPasses : kSettledPasses;
  for (auto* known : {&plain_, &drafted_}) {
    known->seconds /= 2;
    known->tokens /= 2;
  }
}

}  // namespace loopbank
