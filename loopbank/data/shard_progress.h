#pragma once
/// progress.json of a folder of token shards: what the job is, how far it got, where to resume.
///
///     {"format": "loopbank-tokenize-progress", "version": 1,
///      "job": {"vocab_hash", "vocab_size", "shard_tokens", "end_of_text",
///              "inputs": [{"name", "bytes", "ends_hash"}, ...]},
///      "complete": false,
///      "read": [{"documents", ..., "bad_lines": [{"line", "reason"}]}, ...],
///      "shards": [{"file", "tokens", "documents", "bytes", "sha256",
///                  "end": {"input", "line", "byte", "documents", ...}}, ...]}
///
/// It depends only on the inputs, not on time, threads or how often the job was killed.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/data/encode_pipeline.h"
#include "loopbank/data/shard_index.h"
#include "loopbank/data/text_reader.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// What decides every byte of the shards.
struct ShardJob {
  /// A file without its folder, which may move. The hash is the XXH3 of its first and last MiB:
  /// enough to tell files apart, and fast to read.
  struct Input {
    std::string name;
    int64_t bytes = 0;
    std::string ends_hash;
    bool operator==(const Input&) const = default;
  };
  std::string vocab_hash;
  int64_t vocab_size = 0;
  int64_t shard_tokens = 0;  ///< a shard ends with the document that reaches this many
  bool append_end_of_text = true;
  std::vector<Input> inputs;

  /// @throws Error kData for an input that cannot be read, kConfig for one that is not a regular
  ///   file
  static ShardJob describe(const std::vector<std::filesystem::path>& inputs,
                           const Tokenizer& tokenizer, int64_t shard_tokens,
                           bool append_end_of_text);
};

struct FinishedShard {
  TokenShard shard;
  DocumentEnd end;  ///< of its last document
};

struct ShardProgress {
  ShardJob job;
  std::vector<FinishedShard> shards;
  /// Of the inputs up to the end of the last shard; of all of them where `complete`.
  std::vector<TextReaderReport> read;
  bool complete = false;  ///< everything was read and is in the shards

  [[nodiscard]] TokenShardIndex index() const;
  /// Drops the shards after the first `num_shards`, and what was read for them.
  void keep(size_t num_shards);
};

/// The part of `report` that a reader at `state` has already met.
[[nodiscard]] TextReaderReport report_up_to(const TextReaderState& state,
                                            const TextReaderReport& report);

void write_shard_progress(const std::filesystem::path& folder, const ShardProgress& progress);

/// Nothing where the folder holds no progress.json.
/// @throws Error kData where it is damaged
[[nodiscard]] std::optional<ShardProgress> read_shard_progress(const std::filesystem::path& folder);

/// @throws Error kConfig naming what has changed since the job that left its progress in the folder
void expect_same_job(const std::filesystem::path& folder, const ShardJob& before,
                     const ShardJob& now);

}  // namespace loopbank
