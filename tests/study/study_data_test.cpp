#include "loopbank/study/study_data.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "loopbank/data/token_file.h"
#include "loopbank/support/files.h"
#include "small_study.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_contains;
using testing::small_benchmark;
using testing::TestDirectory;

StudyData prepare(const fs::path& directory) {
  return prepare_study_data(directory, {.benchmark = small_benchmark(), .vocab_size = 300});
}

TEST(PrepareStudyData, TokensAreThoseOfTheTextInItsOwnTokenizer) {
  const TestDirectory directory;
  const auto data = prepare(directory.path());
  const auto tokenizer = Tokenizer::load(data.files.tokenizer);
  EXPECT_EQ(tokenizer.vocab_size(), 300);
  for (const auto& path : {data.files.train.joined(), data.files.validation}) {
    const TokenFile tokens(path, /*verify_checksum=*/true);
    tokens.expect_vocabulary(tokenizer);
    EXPECT_GT(tokens.num_tokens(), 500);
  }
  EXPECT_TRUE(fs::path(data.files.train.joined()).is_absolute());
  ASSERT_EQ(data.tasks.size(), 1U);
  EXPECT_TRUE(fs::exists(data.tasks[0] / "facts.jsonl"));
  EXPECT_TRUE(fs::exists(data.tasks[0] / "reasoning.jsonl"));
  const auto json = nlohmann::json::parse(data.description);
  EXPECT_EQ(json["training"]["tokens"], TokenFile(data.files.train.joined()).num_tokens());
}

TEST(PrepareStudyData, ANumberIsAsManyTokensAsItHasDigits) {
  const TestDirectory directory;
  const auto data =
      prepare_study_data(directory.path(), {.benchmark = small_benchmark(), .vocab_size = 500});
  const auto tokenizer = Tokenizer::load(data.files.tokenizer);
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    const auto bytes = tokenizer.token_bytes(id);
    EXPECT_LE(
        std::count_if(bytes.begin(), bytes.end(), [](char c) { return c >= '0' && c <= '9'; }), 1)
        << bytes;
  }
}

TEST(PrepareStudyData, TheSameOptionsGiveTheSameBytes) {
  const TestDirectory directory;
  (void)prepare(directory.path() / "a");
  (void)prepare(directory.path() / "b");
  for (const auto& entry : fs::directory_iterator(directory.path() / "a")) {
    const auto name = entry.path().filename();
    EXPECT_EQ(read_file(entry.path()), read_file(directory.path() / "b" / name)) << name;
  }
}

TEST(PrepareStudyData, AMissingFileIsMadeAgain) {
  const TestDirectory directory;
  const auto data = prepare(directory.path());
  const auto tokens = read_file(data.files.train.joined());
  fs::remove(data.files.train.joined());
  (void)prepare(directory.path());
  EXPECT_EQ(read_file(data.files.train.joined()), tokens);
}

TEST(PrepareStudyData, OtherOptionsAreNamed) {
  const TestDirectory directory;
  (void)prepare(directory.path());
  const auto refusal = [&](const StudyDataOptions& options) {
    return error_of(ErrorCode::kConfig,
                    [&] { (void)prepare_study_data(directory.path(), options); });
  };
  expect_contains(refusal({.benchmark = small_benchmark(), .vocab_size = 301}),
                  "vocab_size = 300, got 301");
  auto more = small_benchmark();
  more.facts.num_people = 9;
  expect_contains(refusal({.benchmark = more, .vocab_size = 300}),
                  "benchmark.facts.people = 8, got 9");
}

TEST(PrepareStudyData, AForeignDescriptionIsRefused) {
  const TestDirectory directory;
  directory.write("data.json", "[1, 2]");
  expect_contains(error_of(ErrorCode::kData, [&] { (void)prepare(directory.path()); }),
                  "data.json: expected what the data of a study was made from");
}

std::string documents(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += fmt::format("{{\"text\": \"This is document {} of the folder.\"}}\n", i);
  }
  return text;
}

TEST(PrepareTextData, FilesWithValInTheirNameAreHeldOut) {
  const TestDirectory directory;
  for (const char* name : {"a.train.jsonl", "b-valid.jsonl", "interval.jsonl", "notes.md"}) {
    directory.write(std::string("text/") + name, documents(name[0] == 'b' ? 3 : 5));
  }
  const auto data =
      prepare_text_data(directory.path() / "data",
                        {.folder = directory.path() / "text", .tokenizer = {}, .vocab_size = 270});
  EXPECT_EQ(TokenFile(data.files.train.joined()).num_documents(), 10);
  EXPECT_EQ(TokenFile(data.files.validation).num_documents(), 3);
  EXPECT_EQ(Tokenizer::load(data.files.tokenizer).vocab_size(), 270);
}

TEST(PrepareTextData, WithoutHeldOutFilesOneDocumentInFiftyIs) {
  const TestDirectory directory;
  directory.write("text/all.jsonl", documents(101));
  const TextDataOptions options{
      .folder = directory.path() / "text", .tokenizer = {}, .vocab_size = 270};
  const auto data = prepare_text_data(directory.path() / "data", options);
  EXPECT_EQ(TokenFile(data.files.train.joined()).num_documents(), 99);
  EXPECT_EQ(TokenFile(data.files.validation).num_documents(), 2);
  // The same again is taken as it stands; another folder is refused.
  EXPECT_EQ(prepare_text_data(directory.path() / "data", options).description, data.description);
  directory.write("text/all.jsonl", documents(102));
  expect_contains(error_of(ErrorCode::kConfig,
                           [&] { (void)prepare_text_data(directory.path() / "data", options); }),
                  "text.train.all.jsonl");
}

TEST(PrepareTextData, AFolderWithoutTextIsRefused) {
  const TestDirectory directory;
  const auto refusal = [&](const char* folder) {
    return error_of(ErrorCode::kData, [&] {
      (void)prepare_text_data(
          directory.path() / "data",
          {.folder = directory.path() / folder, .tokenizer = {}, .vocab_size = 270});
    });
  };
  expect_contains(refusal("nowhere"), "nowhere: expected a folder with text to train on");
  directory.write("held/x.val.jsonl", documents(1));
  expect_contains(refusal("held"), "got held-out files alone");
  directory.write("few/x.jsonl", documents(3));
  expect_contains(refusal("few"), "got 3 documents");
}

TEST(BenchmarkOfStudy, ScalesDifferInSizeAndSeedsInWorld) {
  EXPECT_GT(study_preset(Scale::kSmall).benchmark_of(1).facts.num_people,
            study_preset(Scale::kDemo).benchmark_of(1).facts.num_people);
  EXPECT_EQ(study_preset(Scale::kDemo).benchmark_of(5).seed, 5U);
  EXPECT_EQ(study_preset(Scale::kDemo).benchmark_of(5).reasoning.kinds.size(), 3U);
}

}  // namespace
}  // namespace loopbank
