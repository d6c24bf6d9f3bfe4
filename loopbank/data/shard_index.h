#pragma once
/// index.json of a folder of token shards: which token files make up the corpus, and their digests.
///
///     {"format": "loopbank-token-shards", "version": 1,
///      "vocab_size": N, "vocab_hash": "16 hex digits", "bytes_per_token": 2,
///      "tokens": N, "documents": N,                                        of all shards
///      "shards": [{"file": "shard-00000.tokens", "tokens": N, "documents": N,
///                  "bytes": N, "sha256": "64 hex digits"}, ...]}
///
/// Not here: the shards' own format (token_file.h), making them (tokenize_shards.h), sampling from
/// them.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank {

/// The index in its folder.
inline constexpr const char* kShardIndexFile = "index.json";

/// One token file of a folder.
struct TokenShard {
  std::string file;  ///< its name in the folder
  int64_t tokens = 0;
  int64_t documents = 0;
  int64_t bytes = 0;   ///< of the whole file
  std::string sha256;  ///< of the whole file, 64 hex digits
  bool operator==(const TokenShard&) const = default;
};

/// The shards in the order of the corpus.
struct TokenShardIndex {
  int64_t vocab_size = 0;
  std::string vocab_hash;  ///< Tokenizer::hash()
  std::vector<TokenShard> shards;

  [[nodiscard]] int64_t num_tokens() const;
  [[nodiscard]] int64_t num_documents() const;
  [[nodiscard]] int bytes_per_token() const { return vocab_size <= 65536 ? 2 : 4; }
};

/// `shard-00000.tokens`, `shard-00001.tokens`, ...
[[nodiscard]] std::string shard_name(size_t index);

/// @throws Error kData when the file cannot be written
void write_shard_index(const std::filesystem::path& folder, const TokenShardIndex& index);

/// @throws Error kData naming index.json and the key if it is missing, not such a list, or if its
///   sums are not those of its shards
[[nodiscard]] TokenShardIndex read_shard_index(const std::filesystem::path& folder);

/// Compares the size and the SHA-256 of each shard with the list, on `num_threads` threads; 0: the
/// cores of this process.
/// @throws Error kData naming the first shard that differs, what was expected and what was found
void verify_shards(const std::filesystem::path& folder, const std::vector<TokenShard>& shards,
                   int num_threads = 0);

/// A shard as the list has it, for other files that contain one.
[[nodiscard]] nlohmann::ordered_json to_json(const TokenShard& shard);
/// @param where  names the object in errors
/// @throws Error kData for a key that is missing or of the wrong type
[[nodiscard]] TokenShard shard_from_json(const nlohmann::json& json, const std::string& where);

}  // namespace loopbank
