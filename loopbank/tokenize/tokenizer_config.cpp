#include "loopbank/tokenize/tokenizer_config.h"

#include <nlohmann/json.hpp>

#include "loopbank/support/json.h"
#include "loopbank/tokenize/json_part.h"

namespace loopbank {
namespace {

/// A token of that name, if it is there and `token` is not set.
void take_token(const JsonPart& root, const char* key, std::optional<std::string>& token) {
  if (token || !root.has(key)) {
    return;
  }
  const auto part = root.at(key);
  token = part.json().is_object() ? part.at("content").text() : part.text();
}

void take_tokens(const JsonPart& root, TokenizerConfig& config) {
  take_token(root, "bos_token", config.bos);
  take_token(root, "eos_token", config.eos);
  take_token(root, "pad_token", config.pad);
  take_token(root, "unk_token", config.unk);
}

void take_flag(const JsonPart& root, const char* key, std::optional<bool>& flag) {
  if (root.has(key)) {
    flag = root.flag(key);
  }
}

}  // namespace

TokenizerConfig parse_tokenizer_config(std::string_view text, const std::string& where) {
  const auto json = parse_json(text, where);
  const JsonPart root(json, JsonPart::kTopLevel, where);
  root.expect_object();
  TokenizerConfig config;
  take_tokens(root, config);
  take_flag(root, "add_bos_token", config.add_bos);
  take_flag(root, "add_eos_token", config.add_eos);
  if (root.has("model_max_length")) {
    const auto length = root.at("model_max_length");
    if (!length.json().is_number()) {
      length.refuse("expected a number of tokens, got {}", show_json(length.json()));
    }
    // 10^30 stands for "no limit" in many files.
    constexpr double kMost = 1e15;
    const auto tokens = length.json().get<double>();
    if (tokens >= 0 && tokens <= kMost) {
      config.max_tokens = static_cast<int64_t>(tokens);
    }
  }
  config.source = text;
  return config;
}

void add_special_tokens_map(std::string_view text, const std::string& where,
                            TokenizerConfig& config) {
  const auto json = parse_json(text, where);
  const JsonPart root(json, JsonPart::kTopLevel, where);
  root.expect_object();
  take_tokens(root, config);
  config.map_source = text;
}

}  // namespace loopbank
