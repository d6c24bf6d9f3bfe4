#pragma once
/// Text files to a folder of token shards, which can be killed at any time and goes on.
///
///     files -> documents -> ids (encode_pipeline.h) -> shard-00000.tokens, progress.json
///                                                      shard-00001.tokens, progress.json
///                                                      ..., index.json
///
/// After each shard its digest and the place in the inputs where it ends stand in progress.json
/// (shard_progress.h). A job that starts in such a folder checks that it is the same job, verifies
/// the shards that are there and reads on behind the last of them; what it writes is, byte for
/// byte, what an uninterrupted job writes, whatever the number of threads. index.json
/// (shard_index.h) comes last: where it stands, the folder is whole.
///
/// Not chosen: a shard for each input file, which would make shards as uneven as the files; shards
/// cut within a document, whose tail another file would hold.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "loopbank/data/tokenize.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// 200 MB a shard where a token takes 2 bytes.
inline constexpr int64_t kDefaultShardTokens = 100'000'000;

/// Encodes every document of `inputs`, in order, into shards under `folder`, each of at least
/// `shard_tokens` tokens but the last: a shard ends with the document that reaches so many.
/// Memory holds a few MB of text for each thread and 8 bytes for each document of a shard.
/// @return also what shards of an earlier process hold; its speed is of this process
/// @throws Error kConfig for options out of range and where the folder holds another job's shards,
///         kData for what tokenize_files throws it for, for a shard that was changed since, and
///         where the disk is full: what is finished then stays, and the same call goes on later
TokenizeReport tokenize_to_shards(const std::vector<std::filesystem::path>& inputs,
                                  const Tokenizer& tokenizer, const std::filesystem::path& folder,
                                  int64_t shard_tokens = kDefaultShardTokens,
                                  const TokenizeOptions& options = {});

}  // namespace loopbank
