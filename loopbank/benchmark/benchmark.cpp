#include "loopbank/benchmark/benchmark.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/shuffle.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

void check(const BenchmarkOptions& options) {
  check(options.reasoning);
  auto checked = options;
  check_fields(checked.fields(), "benchmark");
}

/// Documents of both parts, in a random order, each part at least its share of `num_bytes`.
std::vector<std::string> make_documents(const BenchmarkOptions& options, const Facts& facts,
                                        int64_t num_bytes, bool training) {
  const auto seed = derive_seed(options.seed, training ? "training text" : "validation text");
  FactWriter writer(facts, derive_seed(seed, "facts"));
  RandomStream random(derive_seed(seed, "reasoning"));
  const auto facts_bytes = static_cast<double>(num_bytes) * options.facts_share;
  const auto question_bytes = facts_bytes * options.facts.question_share;
  std::vector<std::string> documents;
  const auto write = [&](double bytes, auto&& next_document) {
    for (double written = 0.0; written < bytes;) {
      documents.push_back(next_document());
      written += static_cast<double>(documents.back().size());
    }
  };
  write(facts_bytes - question_bytes, [&] { return writer.telling_document(); });
  write(question_bytes, [&] { return writer.question_document(); });
  write(static_cast<double>(num_bytes) - facts_bytes,
        [&] { return reasoning_document(options.reasoning, !training, random); });
  shuffle(documents, random);
  return documents;
}

}  // namespace

std::vector<Field> BenchmarkOptions::fields() {
  auto all = facts.fields();
  const auto of_reasoning = reasoning.fields();
  all.insert(all.end(), of_reasoning.begin(), of_reasoning.end());
  for (const auto& field :
       {Field("instances", &num_eval_instances, "most questions of each part").minimum(1),
        Field("facts_share", &facts_share,
              "fraction of the training text, in bytes, that is on facts; the rest is problems")
            .positive()
            .below(1.0),
        Field("training_bytes", &training_bytes, "size of the training text, in bytes").minimum(1),
        Field("validation_bytes", &validation_bytes, "size of the validation text, in bytes")
            .minimum(1)}) {
    all.push_back(field);
  }
  return all;
}

Benchmark make_benchmark(const BenchmarkOptions& options) {
  check(options);
  const Facts facts(options.facts, options.seed);
  return {.options = options,
          .training_documents = make_documents(options, facts, options.training_bytes, true),
          .validation_documents = make_documents(options, facts, options.validation_bytes, false),
          .facts = fact_instances(facts, options.num_eval_instances, options.seed),
          .reasoning =
              reasoning_instances(options.reasoning, options.num_eval_instances, options.seed)};
}

Json describe(const Benchmark& benchmark) {
  const auto& options = benchmark.options;
  auto kinds = Json::array();
  for (const auto& range : options.reasoning.kinds) {
    kinds.push_back({{"kind", name_of(range.kind)},
                     {"min_difficulty", range.min_difficulty},
                     {"max_difficulty", range.max_difficulty}});
  }
  const auto documents = [](const std::vector<std::string>& texts) {
    return Json{{"documents", texts.size()}, {"bytes", size_of(texts)}};
  };
  return {{"seed", options.seed},
          {"facts",
           {{"people", options.facts.num_people},
            {"places", options.facts.num_places},
            {"values_per_attribute", options.facts.values_per_attribute},
            {"wordings_per_fact", options.facts.wordings_per_fact},
            {"asked_share", options.facts.asked_share},
            {"question_share", options.facts.question_share},
            {"instances", benchmark.facts.size()}}},
          {"reasoning",
           {{"kinds", kinds},
            {"held_out_share", options.reasoning.held_out_share},
            {"instances", benchmark.reasoning.size()}}},
          {"facts_share", options.facts_share},
          {"training", documents(benchmark.training_documents)},
          {"validation", documents(benchmark.validation_documents)}};
}

Generated generated_of(Benchmark benchmark) {
  auto description = describe(benchmark).dump(2);
  return {.training_documents = std::move(benchmark.training_documents),
          .validation_documents = std::move(benchmark.validation_documents),
          .tasks = {{"facts", std::move(benchmark.facts)},
                    {"reasoning", std::move(benchmark.reasoning)}},
          .description = std::move(description)};
}

void write_benchmark(const Benchmark& benchmark, const std::filesystem::path& directory) {
  write_generated(generated_of(benchmark), directory, "benchmark.json");
}

}  // namespace loopbank
