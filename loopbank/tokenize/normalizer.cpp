#include "loopbank/tokenize/normalizer.h"

#include <algorithm>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/utf8.h"
#include "loopbank/tokenize/byte_alphabet.h"
#include "loopbank/tokenize/characters.h"
#include "loopbank/tokenize/code_points.h"

namespace loopbank {
namespace {

using NormalizerKind = NormalizerStep::Kind;

/// Passes each character to `write(code_point, result)`, which writes nothing to drop it.
template <typename Write>
void rewrite_characters(Normalizer::Result& result, Write&& write) {
  std::string text;
  text.reserve(result.text.size());
  size_t at = 0;
  while (at < result.text.size()) {
    const bool first = at == 0;
    write(next_code_point(result.text, at), text);
    result.starts_same = result.starts_same && !(first && text.empty());
  }
  result.text = std::move(text);
}

/// What SentencePiece's rules for translation drop, and what they make a space of.
bool dropped_by_nmt(char32_t c) {
  return (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F ||
         c == 0x9F;
}
bool space_by_nmt(char32_t c) {
  switch (c) {
    case 0x9:
    case 0xA:
    case 0xC:
    case 0xD:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x2581:
    case 0xFEFF:
    case 0xFFFD:
      return true;
    default:
      return c >= 0x200B && c <= 0x200F;
  }
}

void strip_white_space(const NormalizerStep& step, Normalizer::Result& result) {
  if (step.right) {
    result.text.resize(result.text.size() - trailing_white_space(result.text));
  }
  if (step.left) {
    const size_t size = leading_white_space(result.text);
    result.text.erase(0, size);
    result.starts_same = result.starts_same && size == 0;
  }
}

std::optional<NormalForm> normal_form_of(NormalizerKind kind) {
  switch (kind) {
    case NormalizerKind::kNfc:
      return NormalForm::kNfc;
    case NormalizerKind::kNfd:
      return NormalForm::kNfd;
    case NormalizerKind::kNfkc:
      return NormalForm::kNfkc;
    case NormalizerKind::kNfkd:
      return NormalForm::kNfkd;
    default:
      return std::nullopt;
  }
}

}  // namespace

Replacement::Replacement(const std::string& pattern, bool pattern_is_text, std::string content)
    : content_(std::move(content)) {
  if (pattern_is_text && !pattern.empty()) {
    text_ = pattern;
  } else {
    regex_.emplace(pattern);  // an empty text is found between all characters
  }
}

std::string Replacement::apply(std::string_view text, Regex::Matcher& matcher,
                               bool* starts_same) const {
  std::string result;
  result.reserve(text.size());
  size_t done = 0;
  const auto replace = [&](size_t begin, size_t end) {
    result += text.substr(done, begin - done);
    result += content_;
    done = end;
    const bool at_start = starts_same != nullptr && begin == 0;
    if (at_start && end == 0) {
      if (!content_.empty()) {  // the reference doubles it in some pieces, not in others
        fail(ErrorCode::kData,
             "normalizer: expected a pattern whose matches hold a character, got one of nothing at "
             "the start of a text: it is not supported.");
      }
    } else if (at_start) {
      // What replaces a match has the place of its last character.
      *starts_same =
          *starts_same && !content_.empty() && count_code_points(text.substr(0, end)) == 1;
    }
  };
  if (regex_) {
    regex_->for_each_match(text, matcher, replace);
  } else {
    for (size_t at = text.find(text_); at != std::string_view::npos;
         at = text.find(text_, at + text_.size())) {
      replace(at, at + text_.size());
    }
  }
  result += text.substr(done);
  return result;
}

Normalizer::Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {
  for (const auto& step : steps_) {
    auto& replacement = replacements_.emplace_back();
    if (step.kind == NormalizerKind::kReplace) {
      replacement.emplace(step.pattern, step.pattern_is_text, step.content);
    }
    keeps_ascii_ = keeps_ascii_ && (normal_form_of(step.kind).has_value() ||
                                    step.kind == NormalizerKind::kStripAccents);
  }
}

Normalizer::Result Normalizer::apply(std::string_view text, Regex::Matcher& matcher) const {
  Result result{.text = std::string(text)};
  for (size_t i = 0; i < steps_.size(); ++i) {
    apply_step(i, result, matcher);
  }
  return result;
}

bool Normalizer::tells_start() const {
  bool several_at_start = false;  // characters that may come of the first one
  for (size_t i = 0; i < steps_.size(); ++i) {
    const auto& step = steps_[i];
    const bool replaces_one = step.kind == NormalizerKind::kReplace && step.pattern_is_text &&
                              count_code_points(step.pattern) == 1 && !step.content.empty();
    const bool drops = step.kind == NormalizerKind::kStrip || step.kind == NormalizerKind::kNmt ||
                       step.kind == NormalizerKind::kStripAccents ||
                       step.kind == NormalizerKind::kReplace;
    if (several_at_start && drops && !replaces_one) {
      return false;
    }
    several_at_start = several_at_start || !drops || count_code_points(step.content) > 1;
  }
  return true;
}

bool Normalizer::keeps(std::string_view text) const {
  return empty() || (keeps_ascii_ && std::all_of(text.begin(), text.end(), [](char c) {
                       return static_cast<unsigned char>(c) < 0x80;
                     }));
}

void Normalizer::apply_step(size_t index, Result& result, Regex::Matcher& matcher) const {
  const auto& step = steps_[index];
  switch (step.kind) {
    case NormalizerKind::kNfc:
    case NormalizerKind::kNfd:
    case NormalizerKind::kNfkc:
    case NormalizerKind::kNfkd:
      result.text = to_normal_form(result.text, *normal_form_of(step.kind));
      break;
    case NormalizerKind::kLowercase:
      rewrite_characters(result, append_lower_case);
      break;
    case NormalizerKind::kStripAccents:
      rewrite_characters(result, [](char32_t c, std::string& text) {
        if (!is_mark(c)) {
          append_utf8(text, c);
        }
      });
      break;
    case NormalizerKind::kStrip:
      strip_white_space(step, result);
      break;
    case NormalizerKind::kReplace:
      result.text = replacements_[index]->apply(result.text, matcher, &result.starts_same);
      break;
    case NormalizerKind::kPrepend:
      if (!result.text.empty()) {
        result.text.insert(0, step.content);
      }
      break;
    case NormalizerKind::kByteLevel:
      result.text = spell_bytes(result.text);
      break;
    case NormalizerKind::kNmt:
      rewrite_characters(result, [](char32_t c, std::string& text) {
        if (!dropped_by_nmt(c)) {
          append_utf8(text, space_by_nmt(c) ? U' ' : c);
        }
      });
      break;
  }
}

}  // namespace loopbank
