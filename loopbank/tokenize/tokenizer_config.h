#pragma once
/// tokenizer_config.json and special_tokens_map.json, which stand beside tokenizer.json: which
/// tokens begin and end a text.
///
/// Not here: chat templates (serve/api/chat_template.h), and tokens that transformers adds to those
/// of tokenizer.json (added_tokens_decoder): a file saved by transformers has them in both.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace loopbank {

struct TokenizerConfig {
  std::optional<std::string> bos = {};  ///< bos_token, before a text
  std::optional<std::string> eos = {};  ///< eos_token, at the end of a text
  std::optional<std::string> pad = {};  ///< pad_token
  std::optional<std::string> unk = {};  ///< unk_token
  /// Whether a text gets them, where the files say so; else the post-processor decides.
  std::optional<bool> add_bos = {};
  std::optional<bool> add_eos = {};
  /// model_max_length, where it is a number of tokens that fits.
  std::optional<int64_t> max_tokens = {};
  std::string source = {};      ///< the text of tokenizer_config.json
  std::string map_source = {};  ///< the text of special_tokens_map.json
};

/// Reads the text of a tokenizer_config.json. Tokens are strings or objects with "content"; null is
/// none.
/// @param where  the file, for errors
/// @throws Error kData for text that is no JSON object, or a key of another type
[[nodiscard]] TokenizerConfig parse_tokenizer_config(std::string_view text,
                                                     const std::string& where);

/// Reads both files of a folder, where they are there.
/// @throws Error kData as parse_tokenizer_config, and when a file cannot be read
[[nodiscard]] TokenizerConfig load_tokenizer_config(const std::filesystem::path& folder);

/// Writes into a folder the files that the configuration was read from, as they were.
void save_tokenizer_config(const TokenizerConfig& config, const std::filesystem::path& folder);

/// Adds the tokens of a special_tokens_map.json that `config` does not name.
/// @throws Error kData as above
void add_special_tokens_map(std::string_view text, const std::string& where,
                            TokenizerConfig& config);

}  // namespace loopbank
