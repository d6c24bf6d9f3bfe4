#include "loopbank/train/run_start.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "loopbank/support/error.h"
#include "loopbank/support/hash.h"
#include "loopbank/support/log.h"
#include "loopbank/support/settings.h"
#include "loopbank/train/device.h"
#include "loopbank/train/memory_fit.h"
#include "loopbank/train/run_directory.h"
#include "loopbank/train/run_init.h"

namespace loopbank {
namespace {

constexpr int64_t kSampleTokens = 4096;

FoundStart find_checkpoint(const std::filesystem::path& out) {
  FoundStart found;
  for (const auto& checkpoint : list_checkpoints(out)) {
    try {
      verify_checkpoint(checkpoint.path);
      found.usable = checkpoint;
      return found;
    } catch (const Error& error) {
      log_warning("{} Trying the checkpoint before.", error.what());
      found.damaged.push_back(checkpoint);
    }
  }
  if (!found.damaged.empty()) {
    fail(ErrorCode::kCheckpoint,
         "{}: expected a complete checkpoint, got {} that are damaged, the newest {}. Start a new "
         "run in another --out.",
         out.string(), found.damaged.size(), found.damaged.front().path.filename().string());
  }
  return found;
}

/// Of the first, middle and last tokens: two versions of a corpus are hardly equal there.
std::string sample_of(const TokenSource& source) {
  const auto count = std::min(kSampleTokens, source.num_tokens());
  std::vector<int64_t> tokens(static_cast<size_t>(count));
  Hasher hasher;
  for (const int64_t third : {0, 1, 2}) {
    source.copy((source.num_tokens() - count) * third / 2, count, tokens.data());
    hasher.add(tokens.data(), tokens.size() * sizeof(int64_t));
  }
  return format_hash(hasher.hash());
}

void add_source(const std::string& name, const TokenSource& source, RankFacts& facts) {
  facts.emplace_back(name, fmt::format("{} tokens in {} documents, sample {}", source.num_tokens(),
                                       source.num_documents(), sample_of(source)));
}

std::string to_text(const RankFacts& facts) {
  return nlohmann::json(facts).dump();
}

/// `0, 2 and 3`.
std::string list_of(const std::vector<size_t>& ranks) {
  std::string text;
  for (size_t i = 0; i < ranks.size(); ++i) {
    const auto* const separator = i == 0 ? "" : i + 1 == ranks.size() ? " and " : ", ";
    text += fmt::format("{}{}", separator, ranks[i]);
  }
  return text;
}

/// Fails where a fact differs between the ranks.
void compare(const std::string& name, const std::vector<std::string>& values) {
  std::map<std::string, std::vector<size_t>> ranks_of;
  for (size_t r = 0; r < values.size(); ++r) {
    ranks_of[values[r]].push_back(r);
  }
  if (ranks_of.size() == 1) {
    return;
  }
  // Those of rank 0 first.
  std::vector<std::pair<std::vector<size_t>, std::string>> groups;
  for (const auto& [value, ranks] : ranks_of) {
    groups.emplace_back(ranks, value);
  }
  std::sort(groups.begin(), groups.end());
  std::string text;
  for (const auto& [ranks, value] : groups) {
    text += fmt::format("{}{} on rank{} {}", text.empty() ? "" : ", ", value,
                        ranks.size() > 1 ? "s" : "", list_of(ranks));
  }
  fail(ErrorCode::kRanks,
       "training: expected the same {} on all ranks, got {}. Start all of them with one program, "
       "config and data.",
       name, text);
}

}  // namespace

RunConfig validated(const RunConfig& config, const TrainOptions& options) {
  auto copy = config;
  copy.validate();
  if (!copy.evaluation.tasks.empty() && !options.evaluate) {
    fail(ErrorCode::kConfig,
         "evaluation: \"tasks\" expects a run that scores tasks, got one that does not. Leave it "
         "empty or take loopbank train.");
  }
  const auto resumed = resumed_folder(options);
  if (!copy.training.init.empty() && copy.training.init_hash.empty() && !resumed.empty()) {
    copy.training.init_hash = load_stored_run(resumed / "run.toml").training.init_hash;
  }
  return copy;
}

std::filesystem::path resumed_folder(const TrainOptions& options) {
  return options.resume == ResumeMode::kResume && std::filesystem::exists(options.out / "run.toml")
             ? options.out
             : std::filesystem::path();
}

at::Device device_of_run(const RunConfig& config, const Ranks& ranks) {
  const auto device = own_device(choose_device(config.training.device), ranks);
  if (const auto free = free_memory_bytes(device)) {
    expect_enough_memory(config, static_cast<double>(*free), device.str(), {.ranks = ranks.size()});
  }
  return device;
}

FoundStart find_start(const RunConfig& config, const TrainOptions& options) {
  if (options.resume == ResumeMode::kNew) {
    expect_no_run(options.out);
    return {};
  }
  auto found = find_checkpoint(options.out);
  if (found.usable) {
    expect_same_run(found.usable->path / "run.toml", config);
    return found;
  }
  if (std::filesystem::exists(options.out / "run.toml")) {
    expect_same_run(options.out / "run.toml", config);
  }
  if (std::filesystem::exists(options.out / "model.safetensors")) {
    fail(ErrorCode::kCheckpoint,
         "{}: expected a checkpoint to resume from, got a model.safetensors and none. Choose "
         "another --out to train anew.",
         options.out.string());
  }
  return found;
}

RankFacts facts_of_run(const RunConfig& config, const RunData& data, const std::string& version) {
  RankFacts facts = {{"version of loopbank", version}};
  auto copy = config;
  for (const auto& section : copy.sections()) {
    const auto values = write_json(section.fields);
    for (const auto& [key, value] : values.items()) {
      facts.emplace_back(section.name + "." + key, value.dump());
    }
  }
  facts.emplace_back("tokenizer", data.tokenizer.hash());
  for (size_t i = 0; i < data.train.size(); ++i) {
    add_source(fmt::format("training source {}", i), *data.train[i].tokens, facts);
  }
  if (data.validation) {
    add_source("validation source", *data.validation, facts);
  }
  return facts;
}

void expect_same_facts(const Ranks& ranks, const RankFacts& facts) {
  const auto own = to_text(facts);
  const auto hashes = ranks.gather(format_hash(hash_of(own)));
  if (std::all_of(hashes.begin(), hashes.end(),
                  [&](const std::string& hash) { return hash == hashes.front(); })) {
    return;
  }
  std::vector<std::map<std::string, std::string>> by_rank;
  for (const auto& text : ranks.gather(own)) {
    const auto of_rank = nlohmann::json::parse(text).get<RankFacts>();
    by_rank.emplace_back(of_rank.begin(), of_rank.end());
  }
  for (const auto& [name, value] : facts) {
    std::vector<std::string> values;
    for (const auto& of_rank : by_rank) {
      const auto found = of_rank.find(name);
      values.push_back(found == of_rank.end() ? "none" : found->second);
    }
    compare(name, values);
  }
  fail(
      ErrorCode::kRanks,
      "training: expected the same settings on all {} ranks, got others on some. Start all of them "
      "with one program, config and data.",
      ranks.size());
}

RunCheck check_run(const RunConfig& config, const TrainOptions& options) {
  const auto checked = validated(config, options);
  (void)device_of_run(checked, options.ranks);
  const auto resumed = resumed_folder(options);
  const auto data = open_run_data(checked, /*verify_checksums=*/true, resumed);
  const auto found = find_start(checked, options);
  if (!found.usable && !checked.training.init.empty()) {
    (void)hash_of_init(checked.training);
  }
  std::vector<SourceCheck> sources;
  for (const auto& [source, weight] : data.train) {
    sources.push_back({.path = source->path().string(),
                       .format = source->format().name,
                       .tokens = source->num_tokens(),
                       .documents = source->num_documents(),
                       .weight = weight,
                       .epochs = weight * data.epochs(checked.training) *
                                 static_cast<double>(data.train_tokens()) /
                                 static_cast<double>(source->num_tokens())});
  }
  return {.train_tokens = data.train_tokens(),
          .train_documents = data.train_documents(),
          .sources = std::move(sources),
          .validation_tokens = data.validation ? data.validation->num_tokens() : 0,
          .epochs = data.epochs(checked.training),
          .first_step = found.usable ? found.usable->step + 1 : 1};
}

}  // namespace loopbank
