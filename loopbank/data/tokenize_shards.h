#pragma once
/// Text files to a folder of token shards, resumable after a kill at any time.
///
///     files -> documents -> ids (encode_pipeline.h) -> shard-00000.tokens, progress.json
///                                                      shard-00001.tokens, progress.json
///                                                      ..., index.json
///
/// After each shard, its digest and the place in the inputs where it ends go into progress.json
/// (shard_progress.h). A job that starts in such a folder checks that it is the same job, verifies
/// the shards that are there and continues after the last of them; what it writes is, byte for
/// byte, what an uninterrupted job writes, for any number of threads. index.json (shard_index.h)
/// comes last: if it exists, the folder is complete.
///
/// Rejected: a shard per input file, which would make shards as uneven as the files; shards cut
/// within a document, whose tail would be in another file.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "loopbank/data/tokenize.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// 200 MB per shard if a token takes 2 bytes.
inline constexpr int64_t kDefaultShardTokens = 100'000'000;

/// Encodes every document of `inputs`, in order, into shards under `folder`, each but the last of
/// at least `shard_tokens` tokens: a shard ends with the document that reaches this many. Memory
/// holds a few MB of text per thread and 8 bytes per document of a shard.
/// @return includes the shards of an earlier process; the speed is that of this process
/// @throws Error kConfig for options out of range and where the folder holds another job's shards,
///   kData where tokenize_files throws it, for a shard changed since, and for a full disk: what is
///   finished stays, and the same call resumes later
TokenizeReport tokenize_to_shards(const std::vector<std::filesystem::path>& inputs,
                                  const Tokenizer& tokenizer, const std::filesystem::path& folder,
                                  int64_t shard_tokens = kDefaultShardTokens,
                                  const TokenizeOptions& options = {});

}  // namespace loopbank
