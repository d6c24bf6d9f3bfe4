#pragma once
/// A folder of token files (token_file.h) that make up one corpus, listed in its index.json
/// (shard_index.h): tokens and documents are those of the shards in the order of the list.

#include "loopbank/data/token_source.h"

namespace loopbank {

/// @param options  verify also compares each shard with its sha256
/// @throws Error kData for an index.json that is missing or not such a list, and naming the shard
///   that is missing, damaged, of another size or of another vocabulary than the index says
[[nodiscard]] std::shared_ptr<const TokenSource> open_token_shards(
    const std::filesystem::path& folder, const TokenSourceOptions& options);

}  // namespace loopbank
