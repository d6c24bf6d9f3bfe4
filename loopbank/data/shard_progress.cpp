#include "loopbank/data/shard_progress.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/hash.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kProgressFormat = "loopbank-tokenize-progress";
constexpr int64_t kProgressVersion = 1;
constexpr const char* kProgressName = "progress.json";

std::string hash_of_ends(const fs::path& path) {
  constexpr size_t kEndBytes = size_t{1} << 20;
  const MappedFile file(path);
  const auto bytes = file.bytes();
  const auto size = std::min(kEndBytes, bytes.size());
  return format_hash(hash_of(bytes.last(size), hash_of(bytes.first(size))));
}

Json to_json(const TextReaderCounts& counts) {
  return {{"documents", counts.documents},
          {"document_bytes", counts.document_bytes},
          {"empty_documents", counts.empty_documents},
          {"invalid_json_lines", counts.invalid_json_lines},
          {"invalid_utf8_documents", counts.invalid_utf8_documents},
          {"first_bad_line", counts.first_bad_line}};
}

TextReaderCounts counts_from(const JsonValues& values) {
  return {.documents = values.count("documents"),
          .document_bytes = values.count("document_bytes"),
          .empty_documents = values.count("empty_documents"),
          .invalid_json_lines = values.count("invalid_json_lines"),
          .invalid_utf8_documents = values.count("invalid_utf8_documents"),
          .first_bad_line = values.count("first_bad_line")};
}

Json to_json(const TextReaderReport& report) {
  auto json = to_json(static_cast<const TextReaderCounts&>(report));
  json["bad_lines"] = Json::array();
  for (const auto& bad : report.bad_lines) {
    json["bad_lines"].push_back({{"line", bad.line}, {"reason", bad.reason}});
  }
  return json;
}

TextReaderReport report_from(const nlohmann::json& json, const std::string& where) {
  const JsonValues values(json, where);
  TextReaderReport report{counts_from(values), {}};
  for (const auto& item : values.list("bad_lines")) {
    const JsonValues bad(item, where + ": bad_lines");
    report.bad_lines.push_back({bad.count("line"), bad.text("reason")});
  }
  return report;
}

Json to_json(const ShardJob& job) {
  Json json = {{"vocab_hash", job.vocab_hash},
               {"vocab_size", job.vocab_size},
               {"shard_tokens", job.shard_tokens},
               {"end_of_text", job.append_end_of_text},
               {"inputs", Json::array()}};
  for (const auto& input : job.inputs) {
    json["inputs"].push_back(
        {{"name", input.name}, {"bytes", input.bytes}, {"ends_hash", input.ends_hash}});
  }
  return json;
}

ShardJob job_from(const nlohmann::json& json, const std::string& where) {
  const JsonValues values(json, where);
  ShardJob job{.vocab_hash = values.text("vocab_hash"),
               .vocab_size = values.count("vocab_size"),
               .shard_tokens = values.count("shard_tokens"),
               .append_end_of_text = values.flag("end_of_text"),
               .inputs = {}};
  for (const auto& item : values.list("inputs")) {
    const JsonValues input(item, where + ": inputs");
    job.inputs.push_back({input.text("name"), input.count("bytes"), input.text("ends_hash")});
  }
  return job;
}

Json to_json(const FinishedShard& finished) {
  auto json = to_json(finished.shard);
  const auto& [input, state] = finished.end;
  json["end"] = {{"input", input}, {"line", state.line}, {"byte", state.bytes}};
  json["end"].update(to_json(state.counts));
  return json;
}

FinishedShard finished_from(const nlohmann::json& json, const std::string& where) {
  const JsonValues values(json, where);
  const JsonValues end(values.at("end"), where + ": end");
  return {.shard = shard_from_json(json, where),
          .end = {.input = static_cast<size_t>(end.count("input")),
                  .state = {.line = end.count("line"),
                            .bytes = static_cast<uint64_t>(end.count("byte")),
                            .counts = counts_from(end)}}};
}

/// What one value of a job was and is, for the error; empty where both are the same.
template <typename Value>
std::string difference(const char* what, const Value& before, const Value& now) {
  return before == now ? "" : fmt::format("expected {} {}, got {}", what, before, now);
}

std::string input_difference(const ShardJob& before, const ShardJob& now) {
  for (size_t i = 0; i < std::min(before.inputs.size(), now.inputs.size()); ++i) {
    const auto& [name, bytes, ends_hash] = before.inputs[i];
    const auto& input = now.inputs[i];
    if (!(before.inputs[i] == input)) {
      return fmt::format(
          "expected input {} to be {} of {} bytes (hash of its ends {}), got {} of {} "
          "bytes ({})",
          i + 1, name, bytes, ends_hash, input.name, input.bytes, input.ends_hash);
    }
  }
  return difference("a number of input files of", before.inputs.size(), now.inputs.size());
}

}  // namespace

ShardJob ShardJob::describe(const std::vector<fs::path>& inputs, const Tokenizer& tokenizer,
                            int64_t shard_tokens, bool append_end_of_text) {
  ShardJob job{.vocab_hash = tokenizer.hash(),
               .vocab_size = tokenizer.vocab_size(),
               .shard_tokens = shard_tokens,
               .append_end_of_text = append_end_of_text,
               .inputs = {}};
  for (const auto& path : inputs) {
    if (!fs::is_regular_file(path)) {
      fail(ErrorCode::kConfig,
           "{}: expected a regular file, since shards are resumed by reading it again, got "
           "something else. Give --out a file name to tokenize it in one go.",
           path.string());
    }
    job.inputs.push_back({.name = path.filename().string(),
                          .bytes = static_cast<int64_t>(fs::file_size(path)),
                          .ends_hash = hash_of_ends(path)});
  }
  return job;
}

TokenShardIndex ShardProgress::index() const {
  TokenShardIndex index{.vocab_size = job.vocab_size, .vocab_hash = job.vocab_hash, .shards = {}};
  for (const auto& finished : shards) {
    index.shards.push_back(finished.shard);
  }
  return index;
}

void ShardProgress::keep(size_t num_shards) {
  shards.resize(num_shards);
  complete = false;
  if (shards.empty()) {
    read.clear();
    return;
  }
  const auto& end = shards.back().end;
  read.resize(end.input + 1);
  read.back() = report_up_to(end.state, read.back());
}

TextReaderReport report_up_to(const TextReaderState& state, const TextReaderReport& report) {
  TextReaderReport part{state.counts, report.bad_lines};
  std::erase_if(part.bad_lines, [&](const BadLine& bad) { return bad.line > state.line; });
  return part;
}

void write_shard_progress(const fs::path& folder, const ShardProgress& progress) {
  Json json = {{"format", kProgressFormat},    {"version", kProgressVersion},
               {"job", to_json(progress.job)}, {"complete", progress.complete},
               {"read", Json::array()},        {"shards", Json::array()}};
  for (const auto& report : progress.read) {
    json["read"].push_back(to_json(report));
  }
  for (const auto& finished : progress.shards) {
    json["shards"].push_back(to_json(finished));
  }
  // A name or a reason may hold bytes that are not UTF-8.
  write_file_atomically(folder / kProgressName,
                        json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::optional<ShardProgress> read_shard_progress(const fs::path& folder) {
  const auto path = folder / kProgressName;
  if (!fs::exists(path)) {
    return std::nullopt;
  }
  const auto json = read_json_file(path);
  const JsonValues values(json, path.string());
  values.expect_text("format", kProgressFormat);
  values.expect_count("version", kProgressVersion);
  ShardProgress progress{.job = job_from(values.at("job"), path.string() + ": job"),
                         .shards = {},
                         .read = {},
                         .complete = values.flag("complete")};
  for (const auto& item : values.list("read")) {
    progress.read.push_back(report_from(item, path.string() + ": read"));
  }
  const auto num_inputs = std::min(progress.job.inputs.size(), progress.read.size());
  for (const auto& item : values.list("shards")) {
    const auto where = fmt::format("{}: shard {}", path.string(), progress.shards.size());
    progress.shards.push_back(finished_from(item, where));
    const auto input = progress.shards.back().end.input;
    if (input >= num_inputs) {
      fail(ErrorCode::kData, "{}: expected an end in one of {} inputs, got input {}.", where,
           num_inputs, input);
    }
  }
  return progress;
}

void expect_same_job(const fs::path& folder, const ShardJob& before, const ShardJob& now) {
  for (const auto& text :
       {difference("a tokenizer with the hash", before.vocab_hash, now.vocab_hash),
        difference("a vocabulary of", before.vocab_size, now.vocab_size),
        difference("--shard-tokens", before.shard_tokens, now.shard_tokens),
        difference("an end-of-text token behind each document,", before.append_end_of_text,
                   now.append_end_of_text),
        input_difference(before, now)}) {
    if (!text.empty()) {
      fail(ErrorCode::kConfig,
           "{}: {}: the folder holds shards of another job. Give the options and files that it was "
           "started with, or choose another --out.",
           folder.string(), text);
    }
  }
}

}  // namespace loopbank
