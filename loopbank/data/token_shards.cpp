#include "loopbank/data/token_shards.h"

#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "loopbank/data/joined_tokens.h"
#include "loopbank/data/shard_index.h"
#include "loopbank/data/token_file.h"
#include "loopbank/support/error.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

/// What the index says of a shard must be what its file says.
template <typename Value>
void expect_same(const fs::path& path, std::string_view what, const Value& expected,
                 const Value& got) {
  if (expected != got) {
    fail(ErrorCode::kData,
         "{}: expected {} {}, as {} says, got {}. The shard and the index are not of one corpus: "
         "copy both again, or make them again with loopbank data tokenize.",
         path.string(), what, expected, kShardIndexFile, got);
  }
}

std::shared_ptr<const TokenSource> open_shard(const fs::path& path, const TokenShard& shard,
                                              const TokenShardIndex& index, bool verify) {
  std::error_code absent;
  const auto num_bytes = fs::file_size(path, absent);
  if (absent) {
    fail(ErrorCode::kData,
         "{}: expected the shard that {} names, got {}. Copy it again, or make it again with "
         "loopbank data tokenize.",
         path.string(), kShardIndexFile, absent.message());
  }
  expect_same(path, "a size in bytes of", shard.bytes, static_cast<int64_t>(num_bytes));
  auto file = std::make_shared<const TokenFile>(path, verify);
  expect_same(path, "a vocabulary with the hash", index.vocab_hash, file->vocab_hash());
  expect_same(path, "a vocabulary size of", index.vocab_size, file->vocab_size());
  expect_same(path, "a number of tokens of", shard.tokens, file->num_tokens());
  expect_same(path, "a number of documents of", shard.documents, file->num_documents());
  return file;
}

}  // namespace

std::shared_ptr<const TokenSource> open_token_shards(const fs::path& folder,
                                                     const TokenSourceOptions& options) {
  if (!fs::exists(folder / kShardIndexFile)) {
    fail(ErrorCode::kData,
         "{}: expected a folder of shards with an {}, got a folder without one. Name a file, or a "
         "pattern such as {}.",
         folder.string(), kShardIndexFile, (folder / "*.bin").string());
  }
  const auto index = read_shard_index(folder);
  if (options.verify) {
    verify_shards(folder, index.shards);
  }
  std::vector<std::shared_ptr<const TokenSource>> shards;
  for (const auto& shard : index.shards) {
    shards.push_back(open_shard(folder / shard.file, shard, index, options.verify));
  }
  auto name = "folder of " + plural(shards.size(), "shard");
  auto joined = std::make_shared<JoinedTokens>(folder, std::move(name), std::move(shards));
  if (options.tokenizer != nullptr) {
    joined->expect_vocabulary(*options.tokenizer);
  }
  return joined;
}

}  // namespace loopbank
