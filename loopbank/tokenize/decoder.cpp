#include "loopbank/tokenize/decoder.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "loopbank/tokenize/byte_alphabet.h"
#include "loopbank/tokenize/normalizer.h"

namespace loopbank {
namespace {

using DecoderKind = DecoderStep::Kind;

/// The byte that a token such as <0x0A> stands for.
std::optional<char> fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') {
    return std::nullopt;
  }
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  if (error != std::errc() || end != token.data() + 5) {
    return std::nullopt;
  }
  return static_cast<char>(value);
}

std::string_view without_start(std::string_view text, const DecoderStep& strip) {
  for (size_t i = 0; i < strip.start && text.starts_with(strip.character); ++i) {
    text.remove_prefix(strip.character.size());
  }
  return text;
}

std::string_view without_end(std::string_view text, const DecoderStep& strip) {
  for (size_t i = 0; i < strip.stop && text.ends_with(strip.character); ++i) {
    text.remove_suffix(strip.character.size());
  }
  return text;
}

std::string without_metaspaces(std::string_view text, const DecoderStep& step, bool first) {
  std::string result;
  size_t done = 0;
  for (size_t at = text.find(step.character); at != std::string_view::npos;
       at = text.find(step.character, done)) {
    result += text.substr(done, at - done);
    result += first && step.prepended ? "" : " ";
    done = at + step.character.size();
  }
  result += text.substr(done);
  return result;
}

/// Applies the steps up to the one that makes all tokens one text.
class TokenDecoder {
 public:
  explicit TokenDecoder(const std::vector<DecoderStep>& steps) : steps_(steps) {
    for (const auto& step : steps_) {
      auto& replacement = replacements_.emplace_back();
      if (step.kind == DecoderKind::kReplace) {
        replacement.emplace(step.pattern, step.pattern_is_text, step.content);
      }
    }
  }

  std::string decode(std::string text, bool verbatim, bool first) {
    bool is_byte = false;
    for (size_t i = 0; i < steps_.size(); ++i) {
      const auto& step = steps_[i];
      switch (step.kind) {
        case DecoderKind::kByteLevel:
          text = verbatim ? text : bytes_of_spelling(text).value_or(text);
          break;
        case DecoderKind::kReplace:
          text = is_byte ? text : replacements_[i]->apply(text, matcher_);
          break;
        case DecoderKind::kByteFallback:
          if (const auto byte = fallback_byte(text)) {
            text = *byte;
            is_byte = static_cast<unsigned char>(*byte) >= 0x80;
          }
          break;
        case DecoderKind::kFuse:
          break;
        case DecoderKind::kStrip:
          text = without_end(without_start(text, step), step);
          break;
        case DecoderKind::kMetaspace:
          text = without_metaspaces(text, step, first);
          break;
      }
    }
    return text;
  }

 private:
  const std::vector<DecoderStep>& steps_;
  std::vector<std::optional<Replacement>> replacements_;
  Regex::Matcher matcher_;
};

bool is_joint(const DecoderStep& step) {
  return step.kind == DecoderKind::kFuse || step.kind == DecoderKind::kByteLevel;
}

}  // namespace

bool only_byte_level(const std::vector<DecoderStep>& steps) {
  return steps.empty() || (steps.front().kind == DecoderKind::kByteLevel &&
                           std::all_of(steps.begin(), steps.end(), is_joint));
}

TokenTexts::TokenTexts(std::vector<std::string> spellings, const std::vector<bool>& verbatim,
                       const std::vector<DecoderStep>& steps)
    : middle_(std::move(spellings)) {
  const auto joint = std::find_if(steps.begin(), steps.end(), is_joint);
  const std::vector<DecoderStep> each(steps.begin(), joint == steps.end() ? joint : joint + 1);
  std::copy_if(steps.begin() + static_cast<std::ptrdiff_t>(each.size()), steps.end(),
               std::back_inserter(strips_),
               [](const auto& step) { return step.kind == DecoderKind::kStrip; });
  TokenDecoder decoder(each);
  for (size_t id = 0; id < middle_.size(); ++id) {
    const std::string spelling = std::move(middle_[id]);
    if (spelling.empty()) {
      middle_[id].clear();
      continue;  // an id that no token has
    }
    middle_[id] = steps.empty() ? ' ' + spelling : decoder.decode(spelling, verbatim[id], false);
    auto lead = steps.empty() ? spelling : decoder.decode(spelling, verbatim[id], true);
    if (lead != middle_[id]) {
      leads_.emplace(id, std::move(lead));
    }
  }
}

std::string_view TokenTexts::lead(size_t id) const {
  const auto found = leads_.find(id);
  return found == leads_.end() ? middle_[id] : found->second;
}

std::string_view TokenTexts::first(size_t id) const {
  auto text = lead(id);
  for (const auto& strip : strips_) {
    text = without_start(text, strip);
  }
  return text;
}

std::string TokenTexts::join(std::span<const TokenId> ids) const {
  std::string text;
  text.reserve(ids.size() * 4);
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto id = static_cast<size_t>(ids[i]);
    text += i == 0 ? lead(id) : middle(id);
  }
  for (const auto& strip : strips_) {
    text = std::string(without_end(without_start(text, strip), strip));
  }
  return text;
}

}  // namespace loopbank
