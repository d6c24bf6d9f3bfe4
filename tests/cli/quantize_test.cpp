/// loopbank quantize, and every command that runs a model on what it wrote.

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fixtures.h"
#include "loopbank/support/files.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_of(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(QuantizeCommand, MeasuresOnATextWhatTheBitsCost) {
  const TestDirectory directory;
  write_fixture(directory.path());
  write_model(directory.path() / "model");
  double kl_of_8_bit = 0.0;
  for (const std::string bits : {"8", "4"}) {
    const auto made = run_program({"quantize", "model", "--bits", bits, "--out", "bits" + bits,
                                   "--text", "corpus.txt", "--limit-tokens", "128", "--json"},
                                  "", directory.path());
    ASSERT_EQ(made.status, 0) << made.err;
    const auto json = nlohmann::json::parse(made.out);
    EXPECT_EQ(json.at("tokens"), 128);
    EXPECT_NEAR(json.at("bpb").get<double>() / json.at("bpb_bf16").get<double>(), 1.0, 0.05);
    const double kl = json.at("kl").get<double>();
    EXPECT_GT(kl, 0.0);
    if (bits == "8") {
      kl_of_8_bit = kl;
      EXPECT_LT(kl, 1e-4);
    } else {
      EXPECT_GT(kl, 10 * kl_of_8_bit);
    }
  }
}

TEST(QuantizeCommand, KeepsWhatSaysHowTextsBeginAndEnd) {
  const TestDirectory directory;
  write_fixture(directory.path());
  write_model(directory.path() / "model");
  write_text(directory.path() / "model/tokenizer_config.json",
             R"({"add_bos_token": true, "bos_token": "<|endoftext|>"})");
  write_text(directory.path() / "model/chat.toml", "[chat]\n");
  const auto made =
      run_program({"quantize", "model", "--bits", "8", "--out", "small"}, "", directory.path());
  ASSERT_EQ(made.status, 0) << made.err;
  for (const char* name : {"tokenizer_config.json", "chat.toml"}) {
    EXPECT_EQ(read_file(directory.path() / "small" / name),
              read_file(directory.path() / "model" / name));
  }
}

TEST(QuantizeCommand, WritesAModelThatEveryCommandOfInferenceRuns) {
  const TestDirectory directory;
  write_fixture(directory.path());
  write_model(directory.path() / "model");
  write_text(directory.path() / "tokens.json", "{\"tokens\": [[1, 2, 3, 4]]}");
  const std::vector<std::vector<std::string>> commands = {
      {"generate", "", "--prompt", "Ada", "--max-tokens", "4"},
      {"probe", "", "--tokens", "tokens.json", "--out", "probe.safetensors"},
      {"inside", "", "--text", "corpus.txt", "--sequence-length", "16"},
      {"inspect", "", "--text", "corpus.txt"},
      {"bench", "decode", "", "--prompt-tokens", "4", "--tokens", "4"}};
  for (const std::string bits : {"8", "4"}) {
    const auto out = "nested/bits" + bits + "/";
    const auto made =
        run_program({"quantize", "model", "--bits", bits, "--out", out}, "", directory.path());
    ASSERT_EQ(made.status, 0) << made.err;
    EXPECT_EQ(made.out, "");
    const auto folder = directory.path() / out;
    EXPECT_EQ(files_of(folder),
              (std::vector<std::string>{"config.json", "model.safetensors", "tokenizer.json"}));
    EXPECT_EQ(files_of(folder.parent_path().parent_path()).size(), bits == "8" ? 1U : 2U);
    EXPECT_EQ(nlohmann::json::parse(read_file(folder / "config.json")).at("quantization_bits"),
              std::stoi(bits));
    EXPECT_EQ(read_file(folder / "tokenizer.json"),
              read_file(directory.path() / "model" / "tokenizer.json"));
    for (auto command : commands) {
      std::replace(command.begin(), command.end(), std::string(), out);
      const auto ran = run_program(command, "", directory.path());
      EXPECT_EQ(ran.status, 0) << command.front() << ": " << ran.err;
    }
  }
}

}  // namespace
}  // namespace loopbank::testing
