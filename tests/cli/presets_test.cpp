/// Every preset of configs/demo and configs/small trains in a fresh clone by the line that docs
/// give.

#include <gtest/gtest.h>

#include <algorithm>

#include "loopbank/support/files.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

constexpr const char* kDocumentedLine = "loopbank train configs/demo/mem-g3.toml --out runs/mem-g3";

/// A folder with the presets and nothing else.
void make_clone(const fs::path& at) {
  fs::create_symlink(fs::path(LOOPBANK_SOURCE_DIR) / "configs", at / "configs");
}

std::vector<std::string> presets_of(const std::string& scale) {
  std::vector<std::string> names;
  for (const auto& entry :
       fs::directory_iterator(fs::path(LOOPBANK_SOURCE_DIR) / "configs" / scale)) {
    names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// The documented line for another preset; smaller in everything that costs time and decides
/// nothing else.
ProgramResult train_preset(const fs::path& clone, const std::string& scale, const std::string& name,
                           const Words& more = {}) {
  Words words = {"train", "configs/" + scale + "/" + name + ".toml", "--out", "runs/" + name};
  for (const char* item :
       {"training.steps=1", "training.batch=1", "training.sequence_length=16",
        "training.validation_rows=1", "training.device=cpu", "model.hidden_size=16",
        "model.num_attention_heads=2", "model.intermediate_size=32"}) {
    words.insert(words.end(), {"--set", item});
  }
  words.insert(words.end(), more.begin(), more.end());
  return run_program(words, "", clone);
}

TEST(Presets, EveryDemoAndSmallOneTrainsInAFreshClone) {
  for (const std::string scale : {"demo", "small"}) {
    const TestDirectory clone;
    make_clone(clone.path());
    const auto names = presets_of(scale);
    ASSERT_EQ(names.size(), 11U) << "the ten and their base";
    bool first = true;
    for (const auto& name : names) {
      SCOPED_TRACE(scale + "/" + name);
      const auto run = train_preset(clone.path(), scale, name);
      ASSERT_EQ(run.status, 0) << run.err;
      // Made once.
      EXPECT_EQ(run.err.find("Making the embedded benchmark in runs/" + scale + "/data") !=
                    std::string::npos,
                first)
          << run.err;
      first = false;
      EXPECT_TRUE(fs::exists(clone.path() / "runs" / name / "model.safetensors"));
    }
  }
}

TEST(Presets, TheDataIsThatOfTheStudy) {
  const TestDirectory clone;
  make_clone(clone.path());
  ASSERT_EQ(train_preset(clone.path(), "demo", "isopar").status, 0);
  const auto study =
      run_program({"study", "--systems", "isopar", "--out", "study", "--set", "training.steps=1",
                   "--set", "training.batch=1", "--set", "training.validation_rows=1", "--set",
                   "benchmark.instances=256", "--quiet"},
                  "", clone.path());
  ASSERT_EQ(study.status, 0) << study.err;
  for (const char* name : {"train.tokens", "validation.tokens", "tokenizer.json", "facts.jsonl"}) {
    EXPECT_EQ(read_file(clone.path() / "runs/demo/data" / name),
              read_file(clone.path() / "study/benchmark/seed-1/data" / name))
        << name;
  }
}

TEST(Presets, FilesOfOnesOwnAreTakenAsTheyAre) {
  const TestDirectory clone;
  make_clone(clone.path());
  write_text(clone.path() / "runs/demo/data/train.tokens", "mine");
  const auto run = train_preset(clone.path(), "demo", "isopar");
  EXPECT_EQ(run.status, 4) << run.err;
  EXPECT_EQ(read_file(clone.path() / "runs/demo/data/train.tokens"), "mine");
  const auto elsewhere =
      train_preset(clone.path(), "small", "isopar", {"--set", "data.train=corpus.tokens"});
  EXPECT_EQ(elsewhere.status, 4) << elsewhere.err;
  EXPECT_FALSE(fs::exists(clone.path() / "runs/small"));
}

TEST(Presets, ADryRunMakesNothing) {
  const TestDirectory clone;
  make_clone(clone.path());
  const auto run = train_preset(clone.path(), "demo", "loop3", {"--dry-run"});
  EXPECT_EQ(run.status, 4) << run.err;
  EXPECT_NE(run.err.find("a dry run writes nothing"), std::string::npos) << run.err;
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
  EXPECT_FALSE(fs::exists(clone.path() / "runs"));
}

TEST(Presets, ThePapersTellWhichCommandsMakeTheirData) {
  const TestDirectory clone;
  make_clone(clone.path());
  for (const auto& name : presets_of("paper")) {
    SCOPED_TRACE(name);
    const auto run =
        run_program({"train", "configs/paper/" + name + ".toml", "--out", "run"}, "", clone.path());
    EXPECT_EQ(run.status, 4) << run.err;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
    for (const char* part : {"runs/data/tokenizer.json: expected", "loopbank data tokenize",
                             "docs/data.md", "--set data.tokenizer="}) {
      EXPECT_NE(run.err.find(part), std::string::npos) << part << " in " << run.err;
    }
  }
}

TEST(Presets, AnUnknownBenchmarkIsNamed) {
  const TestDirectory clone;
  make_clone(clone.path());
  const auto run = train_preset(clone.path(), "demo", "loop3", {"--set", "data.benchmark=demmo"});
  EXPECT_EQ(run.status, 2) << run.err;
  EXPECT_NE(run.err.find("Did you mean \"demo\"?"), std::string::npos) << run.err;
}

TEST(Presets, DocsGiveTheLine) {
  for (const char* name : {"README.md", "docs/cli.md", "docs/data.md"}) {
    const auto text = read_file(fs::path(LOOPBANK_SOURCE_DIR) / name);
    EXPECT_NE(text.find(std::string("\n") + kDocumentedLine + "\n"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace loopbank::testing
