#include "loopbank/train/checkpoint.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "loopbank/model/weights.h"
#include "loopbank/support/error.h"
#include "loopbank/train/run_directory.h"
#include "small_run.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::DiskDirectory;
using testing::small_run;

TrainState some_state(int64_t step) {
  return {.step = step,
          .tokens = 64 * step,
          .optimizer_steps = step - 1,
          .sampler = {.sources = {{.position = {.epoch = 1, .document = 2, .offset = 3}}}},
          .skipped_steps = 1,
          .consecutive_skips = 0,
          .train_file_tokens = 1000,
          .loss = 1.0 / 3.0,
          .mean_loops = 1.25,
          .validation_step = step,
          .validation_loss = 0.1,
          .validation_bpb = 0.7,
          .train_seconds = 1.5};
}

/// A model and optimizer with some values in every place.
struct Trained {
  explicit Trained(const RunConfig& run, uint64_t seed = 1)
      : config(run), model(run.model), optimizer(model.parameters(), run.optimizer) {
    model.parameters().initialize(seed);
  }
  void step() {
    for (const auto& parameter : model.parameters().all()) {
      auto value = parameter.value;
      value.mutable_grad() = value.detach() * 0.5 + 0.1;
    }
    optimizer.step(0.01);
    clear_gradients(model.parameters());
  }
  fs::path save(const fs::path& out, int64_t step) const {
    const auto state = some_state(step);
    const auto tokenizer = Tokenizer::bytes();
    return save_checkpoint(out, {config, state, model, optimizer.state(), tokenizer});
  }
  RunConfig config;
  LanguageModel model;
  AdamW optimizer;
};

TEST(TrainState, ComesBackFromItsJson) {
  const auto state = some_state(12);
  EXPECT_EQ(train_state_from_json(nlohmann::json::parse(to_json(state).dump())), state);
}

TEST(TrainState, AMissingOrMistypedKeyIsNamed) {
  for (const auto& [key, value] : {std::pair<const char*, nlohmann::json>{"tokens", nullptr},
                                   {"step", -1},
                                   {"loss", "low"},
                                   {"version", 99}}) {
    auto json = nlohmann::json::parse(to_json(some_state(1)).dump());
    json[key] = value;
    try {
      (void)train_state_from_json(json);
      FAIL() << key << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCheckpoint);
      EXPECT_NE(std::string(error.what()).find(key), std::string::npos) << error.what();
    }
  }
}

TEST(Checkpoint, HoldsEveryBitOfTheRun) {
  const DiskDirectory directory;
  const auto run = small_run(directory);
  Trained trained(run);
  trained.step();
  const auto path = trained.save(directory.path(), 7);
  EXPECT_EQ(path, directory.path() / "checkpoints" / "step-000007");
  verify_checkpoint(path);

  Trained loaded(run, /*seed=*/2);
  EXPECT_EQ(load_checkpoint(path, loaded.model, loaded.optimizer), some_state(7));
  trained.optimizer.restore(trained.optimizer.state(), 6);  // some_state's optimizer_steps
  trained.step();
  loaded.step();
  for (const auto& parameter : trained.model.parameters().all()) {
    EXPECT_TRUE(at::equal(parameter.value, loaded.model.parameters().get(parameter.name).value))
        << parameter.name;
  }
}

TEST(Checkpoint, IsAModelDirectoryOfItsOwn) {
  const DiskDirectory directory;
  const Trained trained(small_run(directory));
  const auto path = trained.save(directory.path(), 1);
  const auto model = load_model(path);
  EXPECT_TRUE(at::equal(model.parameters().get("head.weight").value,
                        trained.model.parameters().get("head.weight").value));
  EXPECT_EQ(Tokenizer::load(path).hash(), Tokenizer::bytes().hash());
  expect_same_run(path / "run.toml", trained.config);
}

TEST(Checkpoint, JsonThatNestsWithoutEndOrHoldsAKeyTwiceIsRefusedByItsPlace) {
  const DiskDirectory directory;
  Trained trained(small_run(directory));
  const auto path = trained.save(directory.path(), 1);
  const auto refusal = [&](const char* file, const std::string& text) {
    const auto good = read_file(path / file);
    write_file_atomically(path / file, text);
    const auto error = testing::error_of(ErrorCode::kCheckpoint, [&] {
      if (std::string_view(file) == "state.json") {
        (void)load_checkpoint(path, trained.model, trained.optimizer);
      } else {
        verify_checkpoint(path);
      }
    });
    write_file_atomically(path / file, good);
    return error;
  };
  for (const char* file : {"state.json", "checksums.json"}) {
    const auto where = (path / file).string();
    EXPECT_EQ(refusal(file, std::string(100'000, '[')),
              where + ":1:129: expected JSON that nests at most 128 levels, got level 129.");
    EXPECT_EQ(refusal(file, "{\"step\": 1,\n \"step\": 2}"),
              where + ":2:7: expected every key once in an object, got \"step\" again.");
  }
}

TEST(Checkpoint, AChangedByteInAnyFileIsFound) {
  const DiskDirectory directory;
  const Trained trained(small_run(directory));
  const auto path = trained.save(directory.path(), 1);
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    files.push_back(entry.path());
  }
  EXPECT_EQ(files.size(), 7U);
  for (const auto& file : files) {
    const auto good = read_file(file);
    auto bad = good;
    bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 1);
    write_file_atomically(file, bad);
    EXPECT_THROW(verify_checkpoint(path), Error) << file;
    write_file_atomically(file, good.substr(0, good.size() / 2));
    EXPECT_THROW(verify_checkpoint(path), Error) << file;
    fs::remove(file);
    EXPECT_THROW(verify_checkpoint(path), Error) << file;
    write_file_atomically(file, good);
    verify_checkpoint(path);
  }
}

TEST(Checkpoint, ChecksumsThatNestWithoutEndAreDamage) {
  const DiskDirectory directory;
  const Trained trained(small_run(directory));
  const auto path = trained.save(directory.path(), 1);
  write_file_atomically(path / "checksums.json",
                        std::string(300'000, '[') + std::string(300'000, ']'));
  EXPECT_THROW(verify_checkpoint(path), Error);
}

TEST(Checkpoint, TheNewestAreKeptAndListedFirst) {
  const DiskDirectory directory;
  const Trained trained(small_run(directory));
  for (const int64_t step : {9, 10, 100, 1000000}) {
    trained.save(directory.path(), step);
  }
  fs::create_directories(directory.path() / "checkpoints" / "step-12x");
  const auto steps = [&] {
    std::vector<int64_t> found;
    for (const auto& checkpoint : list_checkpoints(directory.path())) {
      found.push_back(checkpoint.step);
    }
    return found;
  };
  EXPECT_EQ(steps(), (std::vector<int64_t>{1000000, 100, 10, 9}));
  prune_checkpoints(directory.path(), 2);
  EXPECT_EQ(steps(), (std::vector<int64_t>{1000000, 100}));
  set_aside(list_checkpoints(directory.path()).front());
  EXPECT_EQ(steps(), (std::vector<int64_t>{100}));
  EXPECT_TRUE(fs::exists(directory.path() / "checkpoints" / "step-1000000.damaged"));
}

TEST(RunDirectory, ALockIsHeldByOneAlone) {
  const DiskDirectory directory;
  {
    const RunLock lock(directory.path() / "run");
    EXPECT_THROW(RunLock(directory.path() / "run"), Error);
  }
  const RunLock again(directory.path() / "run");
}

TEST(RunDirectory, LeftoversOfAKilledProcessGo) {
  const DiskDirectory directory;
  directory.write(".metrics.jsonl.tmp-17-0", "half");
  directory.write("metrics.jsonl", "");
  fs::create_directories(directory.path() / "checkpoints" / ".step-000002.tmp-17-1" / "x");
  fs::create_directories(directory.path() / "checkpoints" / "step-000001");
  remove_leftovers(directory.path());
  EXPECT_EQ(directory.names(), (std::vector<std::string>{"checkpoints", "metrics.jsonl"}));
  EXPECT_TRUE(fs::exists(directory.path() / "checkpoints" / "step-000001"));
  EXPECT_FALSE(fs::exists(directory.path() / "checkpoints" / ".step-000002.tmp-17-1"));
}

}  // namespace
}  // namespace loopbank
