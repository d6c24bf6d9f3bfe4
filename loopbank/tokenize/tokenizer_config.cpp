#include "loopbank/tokenize/tokenizer_config.h"

#include <nlohmann/json.hpp>
#include <system_error>

#include "loopbank/support/files.h"
#include "loopbank/support/json.h"
#include "loopbank/tokenize/json_part.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "tokenizer_config.json";
constexpr const char* kMapFile = "special_tokens_map.json";

std::optional<std::string> read_if_there(const fs::path& file) {
  std::error_code absent;
  if (!fs::exists(file, absent)) {
    return std::nullopt;
  }
  return read_file(file, ErrorCode::kData, kLargestJsonBytes);
}

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

TokenizerConfig load_tokenizer_config(const fs::path& folder) {
  TokenizerConfig config;
  if (const auto text = read_if_there(folder / kConfigFile)) {
    config = parse_tokenizer_config(*text, (folder / kConfigFile).string());
  }
  if (const auto text = read_if_there(folder / kMapFile)) {
    add_special_tokens_map(*text, (folder / kMapFile).string(), config);
  }
  return config;
}

void save_tokenizer_config(const TokenizerConfig& config, const fs::path& folder) {
  if (!config.source.empty()) {
    write_file_atomically(folder / kConfigFile, config.source);
  }
  if (!config.map_source.empty()) {
    write_file_atomically(folder / kMapFile, config.map_source);
  }
}

}  // namespace loopbank
