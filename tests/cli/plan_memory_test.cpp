/// What `plan` says of a training's memory against what one takes, in a process of its own.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

// Activations are several times the memory of the program itself.
constexpr const char* kRun = R"([model]
vocab_size = 1024
hidden_size = 128
intermediate_size = 384
num_hidden_layers = 6
num_attention_heads = 4
max_position_embeddings = 256

[data]
train = "train.tokens"
tokenizer = "bytes"

[training]
steps = 10
batch = 32
sequence_length = 256
)";

struct PlannedRun {
  std::string name;
  std::vector<std::string> settings;
};

std::ostream& operator<<(std::ostream& out, const PlannedRun& run) {
  return out << run.name;
}

const std::string kBanks = "model.local_memory_slots=128";

const std::vector<PlannedRun> kRuns = {
    {"Dense", {"training.precision=bf16", "training.batch=64"}},
    {"DenseInFp32", {"training.precision=fp32"}},
    {"Loops", {"training.precision=bf16", "model.max_loops=3"}},
    {"Memory",
     {"training.precision=bf16", "model.max_loops=3", kBanks, "model.global_memory_slots=32"}},
    {"LoopsAgain",
     {"training.precision=bf16", "model.max_loops=3", "training.recompute=loop",
      "training.batch=64"}},
    {"LayersAgain",
     {"training.precision=bf16", "model.max_loops=3", kBanks, "training.recompute=layer",
      "training.batch=64"}},
    {"ManyGradients",
     {"training.precision=bf16", "model.hidden_size=512", "model.intermediate_size=2048",
      "training.batch=2"}},
    {"SeveralPasses",
     {"training.precision=bf16", "model.hidden_size=512", "model.intermediate_size=2048",
      "training.batch=4", "training.micro_batch=2"}},
};

class PlannedMemory : public ::testing::TestWithParam<PlannedRun> {};

TEST_P(PlannedMemory, IsWithinTenPercentOfThePeak) {
  const TestDirectory directory;
  write_text(directory.path() / "run.toml", kRun);
  const auto json_of = [&](std::vector<std::string> words) {
    for (const auto& setting : GetParam().settings) {
      words.insert(words.end(), {"--set", setting});
    }
    const auto result = run_program(words, "", directory.path());
    EXPECT_EQ(result.status, 0) << result.err;
    return nlohmann::json::parse(result.out);
  };
  const auto plan = json_of({"plan", "run.toml", "--json"}).at("memory_bytes");
  const double planned = plan.at("total");
  const double measured =
      json_of({"bench", "train", "--config", "run.toml", "--steps", "1", "--json"})
          .at("peak_memory_bytes");
  EXPECT_NEAR(planned / measured, 1.0, 0.1) << "planned " << planned / 1e6 << " MB, measured "
                                            << measured / 1e6 << " MB: " << plan.dump();
}

INSTANTIATE_TEST_SUITE_P(Runs, PlannedMemory, ::testing::ValuesIn(kRuns),
                         [](const auto& item) { return item.param.name; });

}  // namespace
}  // namespace loopbank::testing
