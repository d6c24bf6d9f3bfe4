/// Sources of tokens from the command line, and the documented path to the paper's data.

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "../data/compressed.h"
#include "../support/test_directory.h"
#include "bad_input.h"
#include "fixtures.h"
#include "loopbank/data/token_file.h"
#include "loopbank/support/files.h"
#include "program.h"

namespace loopbank::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

/// "Ab" and "c" as ids of the byte tokenizer, 2 bytes each, an end of text behind both.
std::string bin_of_two_documents() {
  return {"A\0b\0\0\1c\0\0\1", 10};
}

Json json_of(const TestDirectory& directory, const Words& words) {
  const auto result = run_program(words, "", directory.path());
  EXPECT_EQ(result.status, 0) << result.err;
  return Json::parse(result.out, nullptr, /*allow_exceptions=*/false);
}

TEST(InspectCommand, TellsTheKindOfEachFile) {
  const TestDirectory directory;
  write_fixture(directory.path());
  const auto bin = bin_of_two_documents();
  directory.write("nano.bin", bin);
  std::string header(1024, '\0');
  header.replace(0, 12, std::string("\x88\xd8\x34\x01\x01\0\0\0\x05\0\0\0", 12));
  directory.write("llmc.bin", header + bin);
  const std::string index(
      "\x80\x04]\x94(K\x00K\x06\x86\x94K\x06K\x04\x86\x94"
      "e.",
      19);
  directory.write("a.pbin", std::string("\x0a\0\0\0\0\0\0\0\x02\0\0\0", 12) + bin + index);
  ASSERT_EQ(run_program({"data", "tokenize", "corpus.jsonl", "--tokenizer", "tokenizer.json",
                         "--out", "shards/", "--quiet"},
                        "", directory.path())
                .status,
            0);
  struct Expected {
    const char* path;
    const char* kind;
    int64_t tokens;
    int64_t documents;
    bool checksum;
  };
  for (const auto& [path, kind, tokens, documents, checksum] :
       {Expected{"nano.bin", "nanoGPT .bin", 5, 2, false},
        Expected{"llmc.bin", "llm.c .bin", 5, 2, false},
        Expected{"a.pbin", "Modalities .pbin", 5, 2, false},
        Expected{"*.bin", "2 x llm.c .bin", 10, 4, false},
        Expected{"train.tokens", "token file", 225, 6, true},
        Expected{"shards", "folder of 1 shard", 225, 6, true}}) {
    const auto json = json_of(directory, {"data", "inspect", path, "--tokenizer", "tokenizer.json",
                                          "--documents", "1", "--json"});
    EXPECT_EQ(json["kind"], kind) << path;
    EXPECT_EQ(json[path == std::string("shards") ? "shards" : "files"],
              path == std::string("*.bin") ? 2 : 1);
    EXPECT_EQ(json["tokens"], tokens) << path;
    EXPECT_EQ(json["documents"], documents) << path;
    EXPECT_EQ(json["checksum_verified"], checksum) << path;
    EXPECT_EQ(json["vocab_size"], checksum ? Json(257) : Json(nullptr)) << path;
    EXPECT_EQ(json["first_documents"][0].get<std::string>().substr(0, 2),
              documents == 6 ? "Th" : "Ab")
        << path;
  }
}

TEST(InspectCommand, TellsThatDocumentsAreNotMarked) {
  const TestDirectory directory;
  directory.write("nano.bin", bin_of_two_documents());
  const auto without = run_program({"data", "inspect", "nano.bin"}, "", directory.path());
  EXPECT_EQ(without.out,
            "nano.bin: in order, without a checksum of its own\n"
            "  kind        nanoGPT .bin\n"
            "  tokens      5 of 2 bytes each (taken for that; the file does not say)\n"
            "  documents   1 (not marked; --tokenizer finds them)\n"
            "  vocabulary  not stated; 4 ids occur, the largest 256\n"
            "  a document  5 to 5 tokens, median 5\n");
  const auto with =
      run_program({"data", "inspect", "nano.bin", "--tokenizer", "bytes"}, "", directory.path());
  expect_contains(with.out, "  documents   2 (not marked; cut behind each end-of-text token)\n");
}

TEST(InspectCommand, SaysHowWideTheIdsOfAFileWithoutHeaderAre) {
  const TestDirectory directory;
  std::string ids;
  for (int i = 0; i < 20; ++i) {
    ids += std::string({static_cast<char>('a' + i), '\0', '\0', '\0'});
  }
  directory.write("wide.bin", ids);
  const Words command = {"data", "inspect", "wide.bin", "--tokenizer", "bytes", "--documents", "1"};
  const auto not_said = run_program(command, "", directory.path());
  EXPECT_EQ(not_said.status, 2);
  expect_contains(not_said.err, "every second uint16 at its beginning is 0");
  auto words = command;
  words.insert(words.end(), {"--dtype", "uint32"});
  const auto said = run_program(words, "", directory.path());
  EXPECT_EQ(said.status, 0) << said.err;
  expect_contains(said.out,
                  "  tokens      20 of 4 bytes each (as --dtype says; the file does not)\n");
  expect_contains(said.out, "---\nabcdefghijklmnopqrst\n");
}

TEST(TrainCommand, MixesSourcesAndPlansEach) {
  const TestDirectory directory;
  write_fixture(directory.path());
  directory.write("nano.bin", bin_of_two_documents());
  const Words words = {"train", "run.toml",
                       "--out", "run",
                       "--set", R"(data.train=["train.tokens", "nano.bin"])",
                       "--set", "data.train_weights=[0.75, 0.25]"};
  auto dry = words;
  dry.emplace_back("--dry-run");
  const auto plan = run_program(dry, "", directory.path());
  EXPECT_EQ(plan.status, 0) << plan.err;
  expect_contains(plan.out, "train.tokens, nano.bin\n");
  expect_contains(plan.out, "nano.bin (nanoGPT .bin): 25.00 % of the tokens, 3.20 epochs\n");
  dry.emplace_back("--json");
  const auto sources = json_of(directory, dry)["sources"];
  ASSERT_EQ(sources.size(), 2U);
  EXPECT_EQ(sources[0]["weight"], 0.75);
  EXPECT_EQ(sources[1]["path"], "nano.bin");
  EXPECT_EQ(sources[1]["tokens"], 5);
  const auto trained = run_program(words, "", directory.path());
  EXPECT_EQ(trained.status, 0) << trained.err;
  expect_contains(read_file(directory.path() / "run" / "run.toml"),
                  "train = [\"train.tokens\",\"nano.bin\"]\ntrain_weights = [0.75,0.25]\n");
}

class BadSources : public ::testing::TestWithParam<BadInput> {};

TEST_P(BadSources, EndsInOneClearLine) {
  expect_refused(GetParam());
}

const Words kTrainWeights = {"train", "run.toml", "--out",
                             "run",   "--set",    "data.train_weights=[1, 2]"};

INSTANTIATE_TEST_SUITE_P(
    Cli, BadSources,
    ::testing::Values(
        BadInput{
            .name = "OddBin",
            .arguments = {"data", "inspect", "a.bin"},
            .status = 4,
            .fragments = {"a.bin", "nanoGPT", "got 3 bytes"},
            .spoil = [](const fs::path& directory) { write_text(directory / "a.bin", "abc"); }},
        BadInput{.name = "PickleWithCode",
                 .arguments = {"data", "inspect", "a.pbin"},
                 .status = 4,
                 .fragments = {"a.pbin", "byte 2", "opcode 0x63", "may hold code"},
                 .spoil =
                     [](const fs::path& directory) {
                       write_text(directory / "a.pbin",
                                  std::string("\x02\0\0\0\0\0\0\0\x02\0\0\0ab\x80\x04", 16) +
                                      "cos\nsystem\n.");
                     }},
        BadInput{.name = "FolderWithoutIndex",
                 .arguments = {"data", "inspect", "."},
                 .status = 4,
                 .fragments = {"index.json", "without one"}},
        BadInput{.name = "PatternWithoutMatch",
                 .arguments = {"data", "inspect", "no*.bin"},
                 .status = 4,
                 .fragments = {"no*.bin", "got none"}},
        BadInput{.name = "WeightsOfOtherCount",
                 .arguments = kTrainWeights,
                 .status = 2,
                 .fragments = {"train_weights", "1 paths", "got 2"}},
        BadInput{.name = "ParquetIsNoTokens",
                 .arguments = {"data", "tokenize", "absent.parquet", "--tokenizer", "bytes",
                               "--out", "x.tokens"},
                 .status = 4,
                 .fragments = {"absent.parquet"}}),
    [](const auto& item) { return item.param.name; });

/// A row as FineWeb-Edu publishes it, in words of our own.
std::string fineweb_edu_row(int number) {
  const auto text = fmt::format(
      "Lesson {}. The tide at Velm rises {} hand{} at noon.\nWhy? Because the moon stands high; "
      "\"neap\" tides are lower \xe2\x80\x94 ask the harbour master.",
      number, number % 5 + 1, number % 5 == 0 ? "" : "s");
  const nlohmann::ordered_json row = {
      {"text", text},
      {"id", fmt::format("<urn:uuid:00000000-0000-0000-0000-{:012}>", number)},
      {"dump", "CC-MAIN-2024-10"},
      {"url", fmt::format("https://harbour.example/lessons/{}", number)},
      {"file_path", "s3://example/crawl-data/segment.warc.gz"},
      {"language", "en"},
      {"language_score", 0.95},
      {"token_count", text.size()},
      {"score", 3.25},
      {"int_score", 3}};
  return row.dump() + "\n";
}

/// The blocks of docs/data.md that stand behind the mark.
std::vector<std::string> tested_blocks() {
  const auto text = read_file(fs::path(LOOPBANK_SOURCE_DIR) / "docs/data.md");
  const std::string mark = "<!-- tested -->\n```\n";
  std::vector<std::string> blocks;
  for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
    at += mark.size();
    blocks.push_back(text.substr(at, text.find("```", at) - at));
  }
  return blocks;
}

TEST(DataPath, TheDocumentedCommandsLeadFromRowsToARun) {
  const TestDirectory directory;
  const auto& at = directory.path();
  for (const char* folder : {"text/train", "gpt2", "bin"}) {
    fs::create_directories(at / folder);
  }
  Tokenizer::bytes().save(at / "gpt2" / "tokenizer.json");
  fs::create_symlink(LOOPBANK_PROGRAM, at / "bin" / "loopbank");
  fs::create_symlink(fs::path(LOOPBANK_SOURCE_DIR) / "configs", at / "configs");
  int64_t tokens = 0;
  std::vector<std::string> files(3);
  for (int number = 0; number < 90; ++number) {
    const auto row = fineweb_edu_row(number);
    files[static_cast<size_t>(number / 30)] += row;
    tokens += number < 60 ? Json::parse(row)["token_count"].get<int64_t>() + 1 : 0;
  }
  write_text(at / "text/train/000_00000.jsonl.zst", zstd(files[0]));
  write_text(at / "text/train/001_00008.jsonl.zst", zstd(files[1]));
  write_text(at / "text/validation.jsonl.zst", zstd(files[2]));
  const auto blocks = tested_blocks();
  ASSERT_EQ(blocks.size(), 2U);
  const std::string head = "set -euo pipefail\nexport PATH=\"$PWD/bin:$PATH\"\n";
  const auto made = run_command({"/bin/bash", "-c", head + blocks[0]}, "", at);
  ASSERT_EQ(made.status, 0) << made.err;
  expect_contains(made.out, fmt::format("{} of 2 bytes each", tokens));
  EXPECT_EQ(TokenFile(at / "tokens" / "validation.tokens", true).num_documents(), 30);
  const auto plan = run_command({"/bin/bash", "-c", head + blocks[1]}, "", at);
  ASSERT_EQ(plan.status, 0) << plan.err;
  expect_contains(plan.out, "tokens/train\n");
  expect_contains(plan.out, "tokens/validation.tokens\n");
  EXPECT_FALSE(fs::exists(at / "runs"));
  // The check of the digests must be one that can fail.
  replace_in_file(at / "tokens" / "train" / "index.json", "\"sha256\": \"", "\"sha256\": \"0");
  EXPECT_NE(
      run_command({"/bin/bash", "-c", head + blocks[0].substr(blocks[0].rfind("diff"))}, "", at)
          .status,
      0);
}

}  // namespace
}  // namespace loopbank::testing
