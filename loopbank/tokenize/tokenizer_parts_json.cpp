#include "loopbank/tokenize/tokenizer_parts_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "loopbank/support/json.h"
#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

using NormalizerName = std::pair<std::string_view, NormalizerStep::Kind>;
constexpr auto kNormalizerNames = std::to_array<NormalizerName>({
    {"NFC", NormalizerStep::Kind::kNfc},
    {"NFD", NormalizerStep::Kind::kNfd},
    {"NFKC", NormalizerStep::Kind::kNfkc},
    {"NFKD", NormalizerStep::Kind::kNfkd},
    {"Lowercase", NormalizerStep::Kind::kLowercase},
    {"StripAccents", NormalizerStep::Kind::kStripAccents},
    {"Strip", NormalizerStep::Kind::kStrip},
    {"Replace", NormalizerStep::Kind::kReplace},
    {"Prepend", NormalizerStep::Kind::kPrepend},
    {"ByteLevel", NormalizerStep::Kind::kByteLevel},
    {"Nmt", NormalizerStep::Kind::kNmt},
});

using DecoderName = std::pair<std::string_view, DecoderStep::Kind>;
constexpr auto kDecoderNames = std::to_array<DecoderName>({
    {"ByteLevel", DecoderStep::Kind::kByteLevel},
    {"Replace", DecoderStep::Kind::kReplace},
    {"ByteFallback", DecoderStep::Kind::kByteFallback},
    {"Fuse", DecoderStep::Kind::kFuse},
    {"Strip", DecoderStep::Kind::kStrip},
    {"Metaspace", DecoderStep::Kind::kMetaspace},
});

/// The kind that a part's "type" names.
template <typename Kind, size_t kCount>
Kind kind_of(const JsonPart& part,
             const std::array<std::pair<std::string_view, Kind>, kCount>& all) {
  const auto type = part.at("type");
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const auto& name) { return name.first == type.text(); });
  if (found == all.end()) {
    std::string names;
    for (const auto& [name, kind] : all) {
      names += fmt::format("\"{}\", ", name);
    }
    type.refuse("expected {}or a \"Sequence\" of them, got {}: it is not supported", names,
                show_json(type.json()));
  }
  return found->second;
}

/// The parts that a Sequence lists under `key`, sequences within it taken apart.
std::vector<JsonPart> parts_of_sequence(const JsonPart& part, const char* key) {
  if (part.at("type").text() != "Sequence") {
    return {part};
  }
  std::vector<JsonPart> parts;
  for (const auto& item : part.at(key).items()) {
    auto inner = parts_of_sequence(item, key);
    std::move(inner.begin(), inner.end(), std::back_inserter(parts));
  }
  return parts;
}

/// `{"String": "x"}` or `{"Regex": "x"}`.
template <typename Step>
void read_replacement(const JsonPart& part, Step& step) {
  const auto pattern = part.at("pattern");
  step.pattern_is_text = pattern.has("String");
  step.pattern = pattern.at(step.pattern_is_text ? "String" : "Regex").text();
  step.content = part.at("content").text();
}

std::string read_one_character(const JsonPart& part) {
  if (count_code_points(part.text()) != 1) {
    part.refuse("expected one character, got {}", show_json(part.json()));
  }
  return part.text();
}

size_t read_size(const JsonPart& part) {
  if (!part.json().is_number_unsigned()) {
    part.refuse("expected a number of characters, got {}", show_json(part.json()));
  }
  return part.json().get<size_t>();
}

TokenId read_token_id(const JsonPart& part) {
  constexpr uint64_t kIdLimit = uint64_t{1} << 31U;
  if (!part.json().is_number_unsigned() || part.json().get<uint64_t>() >= kIdLimit) {
    part.refuse("expected an id, got {}", show_json(part.json()));
  }
  return part.json().get<TokenId>();
}

/// Ids of the token that a template names, which the template itself lists.
std::vector<TokenId> ids_of_special_token(const JsonPart& processor, const JsonPart& special) {
  std::vector<TokenId> ids;
  const auto token = processor.at("special_tokens").at(special.at("id").text().c_str());
  for (const auto& id : token.at("ids").items()) {
    ids.push_back(read_token_id(id));
  }
  return ids;
}

TextFrame read_template(const JsonPart& part) {
  TextFrame frame;
  const auto single = part.at("single");
  bool behind = false;
  for (const auto& piece : single.items()) {
    if (piece.has("Sequence")) {
      const auto id = piece.at("Sequence").at("id");
      if (id.text() != "A" || behind) {
        id.refuse("expected the text \"A\" once, got {}{}", show_json(id.json()),
                  behind ? " behind it" : "");
      }
      behind = true;
    } else {
      const auto ids = ids_of_special_token(part, piece.at("SpecialToken"));
      auto& side = behind ? frame.suffix : frame.prefix;
      side.insert(side.end(), ids.begin(), ids.end());
    }
  }
  if (!behind) {
    single.refuse("expected the text \"A\" once, got a template without it");
  }
  return frame;
}

/// `["</s>", 2]`.
TokenId read_pair_of_token(const JsonPart& part) {
  const auto items = part.items();
  if (items.size() != 2) {
    part.refuse("expected a token and its id, got {} values", items.size());
  }
  return read_token_id(items[1]);
}

NormalizerStep read_normalizer_step(const JsonPart& part) {
  NormalizerStep step{.kind = kind_of(part, kNormalizerNames)};
  switch (step.kind) {
    case NormalizerStep::Kind::kStrip:
      step.left = part.flag("strip_left");
      step.right = part.flag("strip_right");
      break;
    case NormalizerStep::Kind::kReplace:
      read_replacement(part, step);
      break;
    case NormalizerStep::Kind::kPrepend:
      step.content = part.at("prepend").text();
      break;
    default:
      break;
  }
  return step;
}

DecoderStep read_decoder_step(const JsonPart& part) {
  DecoderStep step{.kind = kind_of(part, kDecoderNames)};
  switch (step.kind) {
    case DecoderStep::Kind::kReplace:
      read_replacement(part, step);
      break;
    case DecoderStep::Kind::kStrip:
      step.character = read_one_character(part.at("content"));
      step.start = read_size(part.at("start"));
      step.stop = read_size(part.at("stop"));
      break;
    case DecoderStep::Kind::kMetaspace:
      step.character = read_one_character(part.at("replacement"));
      step.prepended = part.flag("add_prefix_space", true) &&
                       !(part.has("prepend_scheme") && part.at("prepend_scheme").text() == "never");
      break;
    default:
      break;
  }
  return step;
}

}  // namespace

std::vector<NormalizerStep> read_normalizer(const JsonPart& part) {
  std::vector<NormalizerStep> steps;
  for (const auto& item : parts_of_sequence(part, "normalizers")) {
    steps.push_back(read_normalizer_step(item));
  }
  return steps;
}

TextFrame read_post_processor(const JsonPart& part) {
  TextFrame frame;
  bool any_template = false;
  for (const auto& item : parts_of_sequence(part, "processors")) {
    const auto type = item.at("type");
    if (any_template && type.text() != "ByteLevel") {
      type.refuse(
          "expected \"ByteLevel\" alone behind TemplateProcessing, got {}: it is not supported",
          show_json(type.json()));
    }
    TextFrame around;
    if (type.text() == "TemplateProcessing") {
      around = read_template(item);
      any_template = true;
    } else if (type.text() == "BertProcessing" || type.text() == "RobertaProcessing") {
      around = {{read_pair_of_token(item.at("cls"))}, {read_pair_of_token(item.at("sep"))}};
    } else if (type.text() != "ByteLevel") {
      type.refuse(
          "expected \"ByteLevel\", \"TemplateProcessing\", \"BertProcessing\", "
          "\"RobertaProcessing\" or a \"Sequence\" of them, got {}: it is not supported",
          show_json(type.json()));
    }
    frame.prefix.insert(frame.prefix.begin(), around.prefix.begin(), around.prefix.end());
    frame.suffix.insert(frame.suffix.end(), around.suffix.begin(), around.suffix.end());
  }
  return frame;
}

std::vector<DecoderStep> read_decoder(const JsonPart& part) {
  using Kind = DecoderStep::Kind;
  std::vector<DecoderStep> steps;
  bool joined = false;
  bool bytes = false;
  for (const auto& item : parts_of_sequence(part, "decoders")) {
    const auto step = read_decoder_step(item);
    const bool looks_inside = step.kind != Kind::kFuse && step.kind != Kind::kStrip;
    if ((joined && looks_inside) || (bytes && !joined && step.kind != Kind::kFuse)) {
      item.refuse("expected {} before {}, got it behind: it is not supported",
                  show_json(item.at("type").json()),
                  joined ? "tokens become one text" : "tokens become bytes");
    }
    joined = joined || step.kind == Kind::kFuse || step.kind == Kind::kByteLevel;
    bytes = bytes || step.kind == Kind::kByteFallback;
    steps.push_back(step);
  }
  return steps;
}

std::string canonical_step(const NormalizerStep& step) {
  const auto name = std::find_if(kNormalizerNames.begin(), kNormalizerNames.end(),
                                 [&](const auto& each) { return each.second == step.kind; });
  return fmt::format("{} {} {} {} {} {} {} {}", name->first, step.left, step.right,
                     step.pattern_is_text, step.pattern.size(), step.pattern, step.content.size(),
                     step.content);
}

}  // namespace loopbank
