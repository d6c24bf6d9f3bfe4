#include "loopbank/tokenize/pretokenizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "loopbank/support/error.h"
#include "loopbank/support/utf8.h"
#include "loopbank/tokenize/byte_alphabet.h"

namespace loopbank {
namespace {

using Kind = PreTokenizerStep::Kind;

/// Metaspace's text of a piece: only spaces are replaced, no other white space.
std::string with_spaces_replaced(std::string_view piece, std::string_view sign) {
  std::string text;
  text.reserve(piece.size() + piece.size() / 2);
  for (const char c : piece) {
    if (c == ' ') {
      text += sign;
    } else {
      text.push_back(c);
    }
  }
  return text;
}

[[noreturn]] void refuse_steps(std::string_view expected, std::string_view got) {
  fail(ErrorCode::kData, "pre-tokenizer: expected {}, got {}: it is not supported.", expected, got);
}

/// Steps that would change what an earlier one has changed already.
void expect_steps_that_go_together(const std::vector<PreTokenizerStep>& steps) {
  bool any_byte_level = false;
  bool any_metaspace = false;
  for (const auto& step : steps) {
    if (step.kind == Kind::kByteLevel && any_byte_level) {
      refuse_steps("one ByteLevel step", "a second one");
    }
    if (step.kind == Kind::kMetaspace && any_byte_level) {
      refuse_steps("no Metaspace behind ByteLevel", "one");
    }
    if (step.kind == Kind::kMetaspace && any_metaspace &&
        step.prepend_scheme == PrependScheme::kFirst) {
      refuse_steps("no Metaspace behind another one that asks for the \"first\" piece", "one");
    }
    any_byte_level = any_byte_level || step.kind == Kind::kByteLevel;
    any_metaspace = any_metaspace || step.kind == Kind::kMetaspace;
  }
}

}  // namespace

std::string canonical_text(const PreTokenizerStep& step) {
  auto text = fmt::format("step {} {} {} {} {} {} {}\n", static_cast<int>(step.kind),
                          step.add_prefix_space, step.use_regex, step.individual_digits,
                          step.pattern_is_text, step.pattern.size(), step.pattern);
  // Files of tokens carry hashes from before there were these.
  const PreTokenizerStep usual;
  if (step.behavior != usual.behavior || step.invert) {
    text += fmt::format("behavior {} {}\n", static_cast<int>(step.behavior), step.invert);
  }
  if (step.kind == Kind::kMetaspace || step.kind == Kind::kCharDelimiterSplit) {
    text += fmt::format("sign {} {} {}\n", step.sign, static_cast<int>(step.prepend_scheme),
                        step.split);
  }
  if (step.kind == Kind::kFixedLength) {
    text += fmt::format("length {}\n", step.length);
  }
  return text;
}

PreTokenizer::PreTokenizer(std::vector<PreTokenizerStep> steps) : steps_(std::move(steps)) {
  expect_steps_that_go_together(steps_);
  for (size_t i = 0; i < steps_.size(); ++i) {
    add_cuts_of(steps_[i]);
    if (steps_[i].kind == Kind::kByteLevel) {
      is_byte_level_ = true;
      words_are_spelled_ = i + 1 < steps_.size();
      cuts_.back().spell_bytes = words_are_spelled_;
    }
  }
}

void PreTokenizer::add_cuts_of(const PreTokenizerStep& step) {
  using By = Cut::By;
  switch (step.kind) {
    case Kind::kByteLevel: {
      Cut cut{.prefix = step.add_prefix_space ? " " : ""};
      if (step.use_regex) {
        cut.by = By::kRegex;
        cut.regex.emplace(std::string(kGpt2Pattern));
      }
      cuts_.push_back(std::move(cut));
      return;
    }
    case Kind::kSplit: {
      Cut cut{.behavior = step.behavior, .invert = step.invert};
      cut.by = step.pattern_is_text && !step.pattern.empty() ? By::kText : By::kRegex;
      cut.text = step.pattern;
      if (cut.by == By::kRegex) {
        cut.regex.emplace(step.pattern);
      }
      cuts_.push_back(std::move(cut));
      return;
    }
    case Kind::kMetaspace:
      cuts_.push_back({.prefix = step.prepend_scheme == PrependScheme::kNever ? "" : step.sign,
                       .only_first = step.prepend_scheme == PrependScheme::kFirst,
                       .space = step.sign,
                       .by = step.split ? By::kText : By::kNothing,
                       .text = step.sign,
                       .behavior = SplitBehavior::kMergedWithNext});
      return;
    case Kind::kDigits:
      cuts_.push_back({.by = By::kCharacters,
                       .characters = digits_of_step(),
                       .behavior = step.individual_digits ? SplitBehavior::kIsolated
                                                          : SplitBehavior::kContiguous});
      return;
    case Kind::kPunctuation:
      cuts_.push_back(
          {.by = By::kCharacters, .characters = punctuation_of_step(), .behavior = step.behavior});
      return;
    case Kind::kWhitespace:
      cuts_.push_back({.by = By::kWordRuns, .behavior = SplitBehavior::kRemoved, .invert = true});
      return;
    case Kind::kWhitespaceSplit:
    case Kind::kBertPreTokenizer:
      cuts_.push_back({.by = By::kCharacters,
                       .characters = white_space(),
                       .behavior = SplitBehavior::kRemoved});
      if (step.kind == Kind::kBertPreTokenizer) {
        cuts_.push_back({.by = By::kCharacters, .characters = punctuation_of_step()});
      }
      return;
    case Kind::kCharDelimiterSplit:
      cuts_.push_back({.by = By::kText, .text = step.sign, .behavior = SplitBehavior::kRemoved});
      return;
    case Kind::kFixedLength:
      cuts_.push_back({.by = By::kLength, .length = static_cast<size_t>(step.length)});
      return;
  }
}

bool PreTokenizer::keeps_text() const {
  return std::none_of(cuts_.begin(), cuts_.end(), [](const Cut& cut) {
    return !cut.prefix.empty() || !cut.space.empty() || cut.behavior == SplitBehavior::kRemoved;
  });
}

void PreTokenizer::expect_certain_start(bool tokens_in_normalized) const {
  for (const auto& cut : cuts_) {
    if (cut.only_first && (tokens_in_normalized || &cut != &cuts_.front())) {
      fail(ErrorCode::kData,
           "tokenizer: expected no normalizer before a Metaspace that looks for the \"first\" of "
           "several pieces, got one: it is not supported.");
    }
  }
}

std::string PreTokenizer::changed(const Cut& cut, std::string_view piece, bool at_start) {
  auto text = cut.space.empty() ? std::string(piece) : with_spaces_replaced(piece, cut.space);
  const bool wanted = at_start || !cut.only_first;
  return wanted && !text.starts_with(cut.prefix) ? cut.prefix + text : text;
}

std::string PreTokenizer::spelled(std::string_view piece) {
  return loopbank::spell_bytes(piece);
}

std::string PreTokenizer::unspelled(std::string_view word) {
  return bytes_of_spelling(word).value();  // made by `spelled`, and cut between characters
}

}  // namespace loopbank
