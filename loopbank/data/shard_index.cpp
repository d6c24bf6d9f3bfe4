#include "loopbank/data/shard_index.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <nlohmann/json.hpp>
#include <system_error>
#include <thread>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json.h"
#include "loopbank/support/sha256.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kIndexFormat = "loopbank-token-shards";
constexpr int64_t kIndexVersion = 1;

int64_t sum_of(const std::vector<TokenShard>& shards, int64_t TokenShard::*count) {
  uint64_t sum = 0;  // a file that lies must not overflow it
  for (const auto& shard : shards) {
    sum += static_cast<uint64_t>(shard.*count);
  }
  return static_cast<int64_t>(sum);
}

[[noreturn]] void refuse_shard(const fs::path& path, const std::string& expected,
                               const std::string& got) {
  fail(ErrorCode::kData,
       "{}: expected {}, got {}. The shard is damaged: delete it and give the same data tokenize "
       "command again, which remakes it and the later ones.",
       path.string(), expected, got);
}

void verify_shard(const fs::path& path, const TokenShard& shard) {
  std::error_code status;
  const auto bytes = fs::file_size(path, status);
  if (status) {
    fail(ErrorCode::kData,
         "{}: expected a shard of {} bytes, got no file that can be read: {}. Give the same data "
         "tokenize command again, which remakes it and the later ones.",
         path.string(), shard.bytes, status.message());
  }
  if (bytes != static_cast<uint64_t>(shard.bytes)) {
    refuse_shard(path, fmt::format("{} bytes", shard.bytes), fmt::format("{}", bytes));
  }
  if (const auto found = sha256_of(path); found != shard.sha256) {
    refuse_shard(path, fmt::format("sha256 {}", shard.sha256), found);
  }
}

}  // namespace

int64_t TokenShardIndex::num_tokens() const {
  return sum_of(shards, &TokenShard::tokens);
}

int64_t TokenShardIndex::num_documents() const {
  return sum_of(shards, &TokenShard::documents);
}

std::string shard_name(size_t index) {
  return fmt::format("shard-{:05}.tokens", index);
}

void write_shard_index(const fs::path& folder, const TokenShardIndex& index) {
  Json json = {{"format", kIndexFormat},
               {"version", kIndexVersion},
               {"vocab_size", index.vocab_size},
               {"vocab_hash", index.vocab_hash},
               {"bytes_per_token", index.bytes_per_token()},
               {"tokens", index.num_tokens()},
               {"documents", index.num_documents()},
               {"shards", Json::array()}};
  for (const auto& shard : index.shards) {
    json["shards"].push_back(to_json(shard));
  }
  write_file_atomically(folder / kShardIndexFile, json.dump(2) + "\n");
}

TokenShardIndex read_shard_index(const fs::path& folder) {
  const auto path = folder / kShardIndexFile;
  const auto json = read_json_file(path);
  const JsonValues values(json, path.string());
  values.expect_text("format", kIndexFormat);
  values.expect_count("version", kIndexVersion);
  TokenShardIndex index{.vocab_size = values.count("vocab_size"),
                        .vocab_hash = values.text("vocab_hash"),
                        .shards = {}};
  for (const auto& item : values.list("shards")) {
    index.shards.push_back(
        shard_from_json(item, fmt::format("{}: shard {}", path.string(), index.shards.size())));
  }
  if (index.shards.empty()) {
    values.refuse("shards", "at least one shard");
  }
  values.expect_count("bytes_per_token", index.bytes_per_token());
  values.expect_count("tokens", index.num_tokens());
  values.expect_count("documents", index.num_documents());
  return index;
}

void verify_shards(const fs::path& folder, const std::vector<TokenShard>& shards, int num_threads) {
  std::vector<std::exception_ptr> problems(shards.size());
  std::atomic<size_t> next{0};
  const auto verify_some = [&] {
    for (size_t i = next++; i < shards.size(); i = next++) {
      try {
        verify_shard(folder / shards[i].file, shards[i]);
      } catch (...) {
        problems[i] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> threads;
  const auto cores = std::max(1U, std::thread::hardware_concurrency());
  const auto wanted =
      std::min<size_t>(shards.size(), num_threads > 0 ? static_cast<size_t>(num_threads) : cores);
  for (size_t i = 1; i < wanted; ++i) {
    threads.emplace_back(verify_some);
  }
  verify_some();
  for (auto& thread : threads) {
    thread.join();
  }
  const auto first = std::find_if(problems.begin(), problems.end(),
                                  [](const auto& problem) { return problem != nullptr; });
  if (first != problems.end()) {
    std::rethrow_exception(*first);
  }
}

Json to_json(const TokenShard& shard) {
  return {{"file", shard.file},
          {"tokens", shard.tokens},
          {"documents", shard.documents},
          {"bytes", shard.bytes},
          {"sha256", shard.sha256}};
}

TokenShard shard_from_json(const nlohmann::json& json, const std::string& where) {
  const JsonValues values(json, where);
  TokenShard shard{.file = values.text("file"),
                   .tokens = values.count("tokens"),
                   .documents = values.count("documents"),
                   .bytes = values.count("bytes"),
                   .sha256 = values.text("sha256")};
  if (shard.file.empty() || fs::path(shard.file).filename() != shard.file) {
    values.refuse("file", "the name of a file beside it");
  }
  return shard;
}

}  // namespace loopbank
