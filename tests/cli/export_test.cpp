/// loopbank export, and commands of ours on what it wrote.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fixtures.h"
#include "loopbank/support/files.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

namespace fs = std::filesystem;

TEST(ExportCommand, WritesAFolderThatOtherCommandsTakeForTheModel) {
  const TestDirectory directory;
  write_fixture(directory.path());
  write_model(directory.path() / "model");
  const auto made = run_program(
      {"export", "model", "--to", "hf", "--out", "nested/out/", "--shard-size", "20kB", "--json"},
      "", directory.path());
  ASSERT_EQ(made.status, 0) << made.err;
  const auto json = nlohmann::json::parse(made.out);
  EXPECT_GT(json.at("weight_files"), 1);
  EXPECT_TRUE(fs::exists(directory.path() / "nested/out/modeling_loopbank.py"));
  EXPECT_EQ(json.at("files").size(), static_cast<size_t>(std::distance(
                                         fs::directory_iterator(directory.path() / "nested/out"),
                                         fs::directory_iterator())));
  std::vector<std::string> texts;
  for (const std::string model : {"model", "nested/out"}) {
    const auto ran = run_program({"--quiet", "generate", model, "--prompt", "Ada", "--max-tokens",
                                  "6", "--temperature", "0", "--json"},
                                 "", directory.path());
    ASSERT_EQ(ran.status, 0) << ran.err;
    texts.push_back(nlohmann::json::parse(ran.out).at("tokens").dump());
  }
  EXPECT_EQ(texts[0], texts[1]);
}

TEST(ExportCommand, AMistakeInAFlagIsTold) {
  const TestDirectory directory;
  write_model(directory.path() / "model");
  const std::vector<std::pair<std::vector<std::string>, std::string>> mistakes = {
      {{"--to", "onnx", "--out", "out"}, "onnx"},
      {{"--to", "hf", "--out", "out", "--dtype", "int8"}, "int8"},
      {{"--to", "hf", "--out", "out", "--shard-size", "5"}, "--shard-size"},
      {{"--to", "hf"}, "--out"}};
  for (const auto& [flags, told] : mistakes) {
    std::vector<std::string> words = {"export", "model"};
    words.insert(words.end(), flags.begin(), flags.end());
    const auto ran = run_program(words, "", directory.path());
    EXPECT_EQ(ran.status, 2) << ran.err;
    EXPECT_NE(ran.err.find(told), std::string::npos) << ran.err;
    EXPECT_FALSE(fs::exists(directory.path() / "out"));
  }
}

TEST(ExportCommand, KilledLeavesNoFolderOrAWholeOne) {
  const TestDirectory directory;
  write_model(directory.path() / "model");
  const auto out = directory.path() / "out";
  int num_kills = 0;
  for (int step = 0; step < 4; ++step) {
    const auto process =
        start_program({"export", "model", "--to", "hf", "--out", "out", "--shard-size", "2kB"},
                      directory.path(), "killed");
    std::this_thread::sleep_for(std::chrono::milliseconds(60 * (step + 1)));
    ::kill(process, SIGKILL);
    int status = 0;
    ::waitpid(process, &status, 0);
    num_kills += WIFSIGNALED(status) ? 1 : 0;
    EXPECT_TRUE(!fs::exists(out) || fs::exists(out / "config.json")) << step;
    if (fs::exists(out)) {
      EXPECT_TRUE(fs::exists(out / "model.safetensors.index.json")) << step;
      fs::remove_all(out);
    }
  }
  EXPECT_GT(num_kills, 0);
}

}  // namespace
}  // namespace loopbank::testing
