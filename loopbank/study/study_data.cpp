#include "loopbank/study/study_data.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "loopbank/data/bpe_trainer.h"
#include "loopbank/data/tokenize.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::array<const char*, 7> kFiles = {
    "train.jsonl",    "validation.jsonl", "facts.jsonl",      "reasoning.jsonl",
    "tokenizer.json", "train.tokens",     "validation.tokens"};

Tokenizer train_tokenizer(const std::vector<std::string>& documents, int64_t vocab_size) {
  size_t next = 0;
  const auto next_document = [&](std::string& document) {
    if (next == documents.size()) {
      return false;
    }
    document = documents[next++];
    return true;
  };
  return train_bpe(next_document, {.vocab_size = vocab_size, .individual_digits = true});
}

/// What decides every byte of the folder.
Json recipe_of(const Benchmark& benchmark, const StudyDataOptions& options) {
  return {{"benchmark", describe(benchmark)}, {"vocab_size", options.vocab_size}};
}

Json read_description(const fs::path& path) {
  auto json = Json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("recipe")) {
    fail(ErrorCode::kData,
         "{}: expected what the data of a study was made from, got something else. Remove the "
         "file to make the data anew.",
         path.string());
  }
  return json;
}

/// The first value that differs between two objects of the same form, as "benchmark.seed".
std::string first_difference(const Json& a, const Json& b) {
  const auto left = a.flatten();
  const auto right = b.flatten();
  for (const auto& [key, value] : right.items()) {
    if (!left.contains(key) || left[key] != value) {
      auto name = key.substr(1);
      std::replace(name.begin(), name.end(), '/', '.');
      return fmt::format("{} = {}, got {}", name,
                         left.contains(key) ? left[key].dump() : std::string("nothing"),
                         value.dump());
    }
  }
  return "no key more, got some";
}

/// Whether the folder holds all that its data.json tells of, made from this recipe.
bool is_ready(const fs::path& directory, const Json& recipe) {
  const auto path = directory / "data.json";
  if (!fs::exists(path)) {
    return false;
  }
  const auto stored = read_description(path)["recipe"];
  if (stored != recipe) {
    fail(ErrorCode::kConfig,
         "{}: expected {}. Continue the study as it was started or choose another --out.",
         path.string(), first_difference(stored, recipe));
  }
  return std::all_of(kFiles.begin(), kFiles.end(),
                     [&](const char* name) { return fs::exists(directory / name); });
}

void make(const fs::path& directory, const Benchmark& benchmark, const Json& recipe) {
  write_benchmark(benchmark, directory);
  const auto tokenizer =
      train_tokenizer(benchmark.training_documents, recipe["vocab_size"].get<int64_t>());
  tokenizer.save(directory / "tokenizer.json");
  const auto tokenize = [&](const std::string& name) {
    const auto report =
        tokenize_files({directory / (name + ".jsonl")}, tokenizer, directory / (name + ".tokens"));
    return Json{{"tokens", report.tokens}, {"bytes", report.text_bytes}};
  };
  const Json description = {{"recipe", recipe},
                            {"tokenizer", {{"tokens", tokenizer.vocab_size()}}},
                            {"training", tokenize("train")},
                            {"validation", tokenize("validation")}};
  write_file_atomically(directory / "data.json", description.dump(2) + "\n");
}

}  // namespace

BenchmarkOptions study_benchmark(Scale scale, uint64_t seed) {
  BenchmarkOptions options;
  options.seed = seed;
  if (scale == Scale::kDemo) {
    // What two layers learn in a minute: products and chains would stay at chance that long.
    options.facts.num_people = 48;
    options.facts.num_places = 16;
    options.facts.values_per_attribute = 12;
    options.reasoning.kinds = {{ReasoningKind::kAddition, 1, 2},
                               {ReasoningKind::kSum, 1, 3},
                               {ReasoningKind::kComparison, 1, 3}};
  } else {
    options.facts.num_people = 384;
    options.facts.num_places = 128;
    options.facts.values_per_attribute = 24;
    options.num_eval_instances = 512;
    options.training_bytes = 16'000'000;
  }
  return options;
}

StudyData prepare_study_data(const fs::path& directory, const StudyDataOptions& options) {
  const auto benchmark = make_benchmark(options.benchmark);
  const auto recipe = recipe_of(benchmark, options);
  if (!is_ready(directory, recipe)) {
    make(directory, benchmark, recipe);
  }
  const auto place = fs::absolute(directory).lexically_normal();
  return {.tasks = place,
          .files = {.train = (place / "train.tokens").string(),
                    .validation = (place / "validation.tokens").string(),
                    .tokenizer = (place / "tokenizer.json").string()},
          .description = read_description(directory / "data.json").dump(2)};
}

}  // namespace loopbank
