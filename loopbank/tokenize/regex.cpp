#include "loopbank/tokenize/regex.h"

#include <oniguruma.h>

#include <array>
#include <climits>
#include <list>
#include <mutex>
#include <new>
#include <set>
#include <utility>
#include <vector>

#include "loopbank/support/error.h"
#include "loopbank/support/utf8.h"
#include "loopbank/tokenize/code_points.h"
#include "loopbank/tokenize/fast_pattern.h"

namespace loopbank {
namespace {

const OnigUChar* onig_bytes(std::string_view text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

std::string onig_message(int error, OnigErrorInfo* info) {
  std::array<OnigUChar, ONIG_MAX_ERROR_MESSAGE_LEN> buffer{};
  const int size = onig_error_code_to_str(buffer.data(), error, info);
  return {reinterpret_cast<const char*>(buffer.data()), static_cast<size_t>(size)};
}

/// Gives \p{name} the newer characters too, if it is a general category. Oniguruma looks names up
/// among those that a program defines before its own, and has room for 20 of them; names beyond
/// that keep its own characters.
void define_property(std::string_view name) {
  static std::set<std::string, std::less<>> seen;
  static std::list<std::vector<OnigCodePoint>> tables;  // Oniguruma keeps the addresses
  if (!seen.emplace(name).second) {
    return;
  }
  const auto category = general_category(name);
  const auto newer = newer_code_points(category.value_or(""));
  const auto all = category && !newer.ranges().empty() ? code_points_of(name) : std::nullopt;
  if (!all) {
    return;
  }
  auto& table = tables.emplace_back();
  table.push_back(static_cast<OnigCodePoint>(all->ranges().size()));
  for (const auto& range : all->ranges()) {
    table.push_back(range.first);
    table.push_back(range.last);
  }
  onig_unicode_define_user_property(std::string(name).c_str(), table.data());
}

/// The names in \p{name}, \P{name} and \p{^name}.
void define_properties_of(std::string_view pattern) {
  for (size_t at = 0; at + 1 < pattern.size(); ++at) {
    if (pattern[at] != '\\') {
      continue;
    }
    ++at;  // so that of \\p the second backslash escapes nothing
    const auto rest = pattern.substr(at);
    const auto end = rest.find('}');
    if ((rest.starts_with("p{") || rest.starts_with("P{")) && end != std::string_view::npos) {
      auto name = rest.substr(2, end - 2);
      name.remove_prefix(name.starts_with('^') ? 1 : 0);
      define_property(name);
    }
  }
}

}  // namespace

struct Regex::Oniguruma {
  Oniguruma() = default;
  Oniguruma(const Oniguruma&) = delete;
  Oniguruma& operator=(const Oniguruma&) = delete;
  ~Oniguruma() { onig_free(code); }
  OnigRegex code = nullptr;
};

struct Regex::Matcher::Oniguruma {
  Oniguruma() : region(onig_region_new()), limits(onig_new_match_param()) {
    if (region == nullptr || limits == nullptr) {
      throw std::bad_alloc();
    }
    onig_set_retry_limit_in_match_of_match_param(limits, kMaxMatchSteps);
    onig_set_retry_limit_in_search_of_match_param(limits, kMaxSearchSteps);
    onig_set_match_stack_limit_size_of_match_param(limits, kMaxMatchStack);
  }
  Oniguruma(const Oniguruma&) = delete;
  Oniguruma& operator=(const Oniguruma&) = delete;
  ~Oniguruma() {
    onig_region_free(region, 1);
    onig_free_match_param(limits);
  }
  OnigRegion* region;
  OnigMatchParam* limits;
};

Regex::Matcher::Matcher() : oniguruma_(std::make_unique<Oniguruma>()) {}
Regex::Matcher::~Matcher() = default;

Regex::Regex(const std::string& pattern, RegexEngine engine) {
  if (engine == RegexEngine::kFastest) {
    if (const auto equivalent = pcre2_equivalent(pattern)) {
      fast_.emplace(*equivalent);
      return;
    }
  }
  if (!is_valid_utf8(pattern)) {
    fail(ErrorCode::kData, "regex: expected a pattern in UTF-8, got other bytes.");
  }
  slow_ = std::make_unique<Oniguruma>();
  OnigErrorInfo info{};
  const std::lock_guard lock(oniguruma_mutex());
  define_properties_of(pattern);
  const int result =
      onig_new(&slow_->code, onig_bytes(pattern), onig_bytes(pattern) + pattern.size(),
               ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_ONIGURUMA, &info);
  if (result != ONIG_NORMAL) {
    slow_->code = nullptr;
    fail(ErrorCode::kData,
         "regex: expected a regular expression that Oniguruma reads, got \"{}\": {}.", pattern,
         onig_message(result, &info));
  }
}

Regex::~Regex() = default;
Regex::Regex(Regex&& other) noexcept = default;
Regex& Regex::operator=(Regex&& other) noexcept = default;

size_t Regex::behind_character(std::string_view text, size_t at) {
  if (at >= text.size()) {
    return at + 1;
  }
  (void)next_code_point(text, at);
  return at;
}

std::optional<RegexMatch> Regex::search_slowly(std::string_view text, size_t from,
                                               Matcher& matcher) const {
  if (text.size() > INT_MAX) {
    fail(ErrorCode::kData, "regex: expected a text of less than 2 GiB, got {} bytes.", text.size());
  }
  const auto* begin = onig_bytes(text);
  const auto* end = begin + text.size();
  auto& state = *matcher.oniguruma_;
  const int found = onig_search_with_param(slow_->code, begin, end, begin + from, end, state.region,
                                           ONIG_OPTION_NONE, state.limits);
  if (found == ONIG_MISMATCH) {
    return std::nullopt;
  }
  if (found < 0) {
    fail(ErrorCode::kData, "regex: expected a match or none in {} bytes of text, got: {}.",
         text.size(), onig_message(found, nullptr));
  }
  const RegexMatch match{static_cast<size_t>(state.region->beg[0]),
                         static_cast<size_t>(state.region->end[0])};
  // A \K within a look-around sets the start behind the end or before `from`: text would be lost,
  // doubled or matched for ever.
  if (match.begin < from || match.begin > match.end) {
    fail(ErrorCode::kData,
         "regex: expected a match that starts at byte {} or later and before its end, got one from "
         "{} to {}. Take \\K out of the pattern.",
         from, match.begin, match.end);
  }
  return match;
}

}  // namespace loopbank
