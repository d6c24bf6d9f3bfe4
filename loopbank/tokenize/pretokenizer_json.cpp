#include "loopbank/tokenize/pretokenizer_json.h"

#include <array>
#include <string_view>
#include <utility>

#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

using Kind = PreTokenizerStep::Kind;

constexpr int kMaxNesting = 16;  // of Sequence
constexpr int64_t kMaxLength = 1'000'000'000;

constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors = {{
    {"Removed", SplitBehavior::kRemoved},
    {"Isolated", SplitBehavior::kIsolated},
    {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
    {"MergedWithNext", SplitBehavior::kMergedWithNext},
    {"Contiguous", SplitBehavior::kContiguous},
}};

constexpr std::array<std::pair<std::string_view, PrependScheme>, 3> kSchemes = {{
    {"first", PrependScheme::kFirst},
    {"never", PrependScheme::kNever},
    {"always", PrependScheme::kAlways},
}};

/// Steps whose only key is their type.
constexpr std::array<std::pair<std::string_view, Kind>, 3> kPlainSteps = {{
    {"Whitespace", Kind::kWhitespace},
    {"WhitespaceSplit", Kind::kWhitespaceSplit},
    {"BertPreTokenizer", Kind::kBertPreTokenizer},
}};

template <typename Value, size_t N>
Value value_named(const JsonPart& part,
                  const std::array<std::pair<std::string_view, Value>, N>& names) {
  std::string all;
  for (const auto& [name, value] : names) {
    if (part.text() == name) {
      return value;
    }
    all += fmt::format("{}\"{}\"", all.empty() ? "" : ", ", name);
  }
  part.refuse("expected one of {}, got {}", all, show_json(part.json()));
}

template <typename Value, size_t N>
std::string_view name_of(Value value,
                         const std::array<std::pair<std::string_view, Value>, N>& names) {
  for (const auto& [name, candidate] : names) {
    if (candidate == value) {
      return name;
    }
  }
  return {};
}

std::string one_character(const JsonPart& part) {
  if (count_code_points(part.text()) != 1) {
    part.refuse("expected one character, got {}", show_json(part.json()));
  }
  return part.text();
}

PreTokenizerStep read_split(const JsonPart& part) {
  const auto pattern = part.at("pattern");
  const bool is_text = !pattern.has("Regex");
  return {.kind = Kind::kSplit,
          .pattern = pattern.at(is_text ? "String" : "Regex").text(),
          .pattern_is_text = is_text,
          .behavior = value_named(part.at("behavior"), kBehaviors),
          .invert = part.flag("invert", false)};
}

/// Older files have add_prefix_space in the place of prepend_scheme.
PreTokenizerStep read_metaspace(const JsonPart& part) {
  PreTokenizerStep step{.kind = Kind::kMetaspace};
  step.sign = one_character(part.at("replacement"));
  step.split = part.flag("split", true);
  if (part.has("prepend_scheme")) {
    step.prepend_scheme = value_named(part.at("prepend_scheme"), kSchemes);
  }
  if (!part.flag("add_prefix_space", true) && step.prepend_scheme != PrependScheme::kNever) {
    part.at("add_prefix_space")
        .refuse("expected true, or \"prepend_scheme\": \"never\" beside it, got false");
  }
  return step;
}

PreTokenizerStep read_step(const JsonPart& part) {
  const auto type = part.at("type");
  const auto& name = type.text();
  for (const auto& [plain, kind] : kPlainSteps) {
    if (name == plain) {
      return {.kind = kind};
    }
  }
  if (name == "ByteLevel") {
    return {.kind = Kind::kByteLevel,
            .add_prefix_space = part.flag("add_prefix_space"),
            .use_regex = part.flag("use_regex", true),
            .trim_offsets = part.flag("trim_offsets", true)};
  }
  if (name == "Digits") {
    return {.kind = Kind::kDigits, .individual_digits = part.flag("individual_digits")};
  }
  if (name == "Split") {
    return read_split(part);
  }
  if (name == "Punctuation") {
    PreTokenizerStep step{.kind = Kind::kPunctuation};
    if (part.has("behavior")) {
      step.behavior = value_named(part.at("behavior"), kBehaviors);
    }
    return step;
  }
  if (name == "Metaspace") {
    return read_metaspace(part);
  }
  if (name == "CharDelimiterSplit") {
    return {.kind = Kind::kCharDelimiterSplit, .sign = one_character(part.at("delimiter"))};
  }
  if (name == "FixedLength") {
    PreTokenizerStep step{.kind = Kind::kFixedLength};
    if (part.has("length")) {
      const auto length = part.at("length");
      if (!length.json().is_number_integer() || length.json() < 1 || length.json() > kMaxLength) {
        length.refuse("expected a number of characters from 1 on, got {}",
                      show_json(length.json()));
      }
      step.length = length.json().get<int64_t>();
    }
    return step;
  }
  type.refuse(
      "expected ByteLevel, Digits, Split, Punctuation, Metaspace, Whitespace, WhitespaceSplit, "
      "CharDelimiterSplit, BertPreTokenizer, FixedLength or a Sequence of them, got {}: it is not "
      "supported",
      show_json(type.json()));
}

void append_steps(const JsonPart& part, int nesting, std::vector<PreTokenizerStep>& steps) {
  if (!part.has("type") || part.at("type").text() != "Sequence") {
    steps.push_back(read_step(part));
    return;
  }
  if (nesting == kMaxNesting) {
    part.refuse("expected at most {} Sequences within each other, got more", kMaxNesting);
  }
  for (const auto& item : part.at("pretokenizers").items()) {
    append_steps(item, nesting + 1, steps);
  }
}

nlohmann::ordered_json write_step(const PreTokenizerStep& step) {
  switch (step.kind) {
    case Kind::kByteLevel:
      return {{"type", "ByteLevel"},
              {"add_prefix_space", step.add_prefix_space},
              {"trim_offsets", step.trim_offsets},
              {"use_regex", step.use_regex}};
    case Kind::kDigits:
      return {{"type", "Digits"}, {"individual_digits", step.individual_digits}};
    case Kind::kSplit:
      return {{"type", "Split"},
              {"pattern", {{step.pattern_is_text ? "String" : "Regex", step.pattern}}},
              {"behavior", name_of(step.behavior, kBehaviors)},
              {"invert", step.invert}};
    case Kind::kPunctuation:
      return {{"type", "Punctuation"}, {"behavior", name_of(step.behavior, kBehaviors)}};
    case Kind::kMetaspace:
      return {{"type", "Metaspace"},
              {"replacement", step.sign},
              {"prepend_scheme", name_of(step.prepend_scheme, kSchemes)},
              {"split", step.split}};
    case Kind::kCharDelimiterSplit:
      return {{"type", "CharDelimiterSplit"}, {"delimiter", step.sign}};
    case Kind::kFixedLength:
      return {{"type", "FixedLength"}, {"length", step.length}};
    case Kind::kWhitespace:
    case Kind::kWhitespaceSplit:
    case Kind::kBertPreTokenizer:
      break;
  }
  return {{"type", name_of(step.kind, kPlainSteps)}};
}

}  // namespace

std::vector<PreTokenizerStep> read_pre_tokenizer(const JsonPart& part) {
  std::vector<PreTokenizerStep> steps;
  if (!part.json().is_null()) {
    append_steps(part, 0, steps);
  }
  return steps;
}

nlohmann::ordered_json write_pre_tokenizer(const std::vector<PreTokenizerStep>& steps) {
  if (steps.empty()) {
    return nullptr;
  }
  if (steps.size() == 1) {
    return write_step(steps.front());
  }
  auto list = nlohmann::ordered_json::array();
  for (const auto& step : steps) {
    list.push_back(write_step(step));
  }
  return {{"type", "Sequence"}, {"pretokenizers", list}};
}

}  // namespace loopbank
