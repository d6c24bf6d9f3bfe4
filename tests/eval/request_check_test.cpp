/// Requests recorded in the form of OLMES; the words are our own.

#include "loopbank/eval/request_check.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;
using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

constexpr std::string_view kShots =
    R"({"task": "csqa:rc::olmes", "num_shots": 1, "prefix": "Question: Up?\nAnswer: sky\n\n"})"
    "\n"
    R"({"task": "winogrande:rc::olmes", "num_shots": 1, "prefix": "Ann sat.\n\n"})"
    "\n"
    R"({"task": "hellaswag:rc::olmes", "num_shots": 1, "prefix": "Tea: She pours it.\n\n"})"
    "\n"
    R"({"task": "minerva_math_*:bpb::olmes", "num_shots": 1, "prefix": "Problem:\nA}\n\nSolution: B\\\nC\n\n"})"
    "\n";

Json request(const std::string& task, const Json& doc, const std::string& context,
             const std::string& continuation, int64_t choice, int64_t doc_id = 0) {
  return {{"task_name", task}, {"doc", doc},
          {"doc_id", doc_id},  {"native_id", doc.value("id", "")},
          {"idx", choice},     {"request", {{"context", context}, {"continuation", continuation}}}};
}

const Json kRecordedQuestion = {
    {"id", "q7"}, {"query", "Question: Wet?\nAnswer:"}, {"choices", {"sand", "rain"}}, {"gold", 1}};
constexpr const char* kQuestionContext = "Question: Up?\nAnswer: sky\n\nQuestion: Wet?\nAnswer:";

/// What differs first; "nothing" where all is equal.
std::string first_part(const RequestCount& count) {
  return count.first_difference ? count.first_difference->part : "nothing";
}

class RequestCheck : public ::testing::Test {
 protected:
  void record(const std::string& name, const std::vector<Json>& rows) {
    std::string text;
    for (const auto& row : rows) {
      text += row.dump() + "\n";
    }
    directory_.write(name, text);
  }
  std::vector<RequestFileCheck> check(std::vector<std::filesystem::path> data = {}) const {
    return check_requests(directory_.path(), {.data = std::move(data),
                                              .few_shot_file = shots_.path() / "shots.jsonl",
                                              .shots = std::nullopt});
  }

  TestDirectory directory_;
  TestDirectory shots_;
  std::filesystem::path file_ = shots_.write("shots.jsonl", kShots);
};

TEST_F(RequestCheck, QuestionsAndTheirTwinsAreMadeAgain) {
  record("csqa.jsonl", {request("csqa", kRecordedQuestion, kQuestionContext, " sand", 0),
                        request("csqa", kRecordedQuestion, kQuestionContext, " rain", 1),
                        request("csqa", kRecordedQuestion, "Answer:", " rain", 1, 1000000)});
  const auto checks = check();
  ASSERT_EQ(checks.size(), 1U);
  EXPECT_EQ(checks[0].task, "csqa");
  EXPECT_EQ(checks[0].shots, 1);
  EXPECT_EQ(checks[0].recorded.requests, 3);
  EXPECT_EQ(checks[0].recorded.equal, 3);
  EXPECT_EQ(count_differences(checks), 0);
  EXPECT_EQ(describe(checks), "csqa.jsonl: 3 of 3 equal\nall: 3 of 3 equal\n");
}

TEST_F(RequestCheck, TwoContextsTwoSpacesAndOddShots) {
  const Json gap = {{"sentence", "So _  won."},
                    {"option1", "Ann"},
                    {"option2", "Bob"},
                    {"answer", "1"},
                    {"index", 0}};
  record("a.jsonl", {request("winogrande", gap, "Ann sat.\n\nSo Ann", " won.", 0),
                     request("winogrande", gap, "Ann sat.\n\nSo Bob", " won.", 1)});
  const Json ending = {
      {"ind", 3}, {"query", "Tea: He"}, {"choices", {" drinks.", "runs."}}, {"gold", 0}};
  record("b.jsonl",
         {request("hellaswag", ending, "Tea: She pours it.\n\nTea: He", "  drinks.", 0)});
  const Json problem = {{"problem", "1+1?"}, {"solution", "2  or\ntwo"}, {"index", 0}};
  record("c.jsonl", {request("minerva_math_algebra", problem,
                             "Problem:\nA}\n\nSolution: B\\\nC\n\nProblem:\n1+1?\n\nSolution:",
                             " 2  or\ntwo", 0)});
  const auto checks = check();
  ASSERT_EQ(checks.size(), 3U);
  EXPECT_EQ(count_differences(checks), 0) << describe(checks);
}

TEST_F(RequestCheck, TheFirstDifferenceIsShownWithItsPlace) {
  auto wrong = request("csqa", kRecordedQuestion, kQuestionContext, " sand ", 0);
  wrong["label"] = 1;
  record("csqa.jsonl", {request("csqa", kRecordedQuestion, kQuestionContext, " rain", 1), wrong,
                        request("csqa", kRecordedQuestion, "Question: Wet?\nAnswer:", " rain", 1)});
  const auto checks = check();
  EXPECT_EQ(count_differences(checks), 2);
  const auto text = describe(checks);
  expect_contains(text, "csqa.jsonl: 1 of 3 equal\n");
  expect_contains(text,
                  "csqa.jsonl:2: the continuation differs at byte 5\n"
                  "    recorded \" sand \"\n    made     \" sand\"\n");
  const auto json = to_json(checks);
  EXPECT_FALSE(json.at("equal").get<bool>());
  EXPECT_EQ(json.at("files")[0].at("origins")[0].at("first_difference").at("byte"), 5);
}

TEST_F(RequestCheck, AnotherLabelOrChoiceDiffers) {
  auto label = request("csqa", kRecordedQuestion, kQuestionContext, " rain", 1);
  label["label"] = 0;
  record("csqa.jsonl", {label});
  EXPECT_EQ(first_part(check()[0].recorded), "label");
  record("csqa.jsonl", {request("csqa", kRecordedQuestion, kQuestionContext, " rain", 2)});
  EXPECT_EQ(first_part(check()[0].recorded), "choice");
}

TEST_F(RequestCheck, DataFilesAreReadByIdByPositionAndByText) {
  record("csqa.jsonl", {request("csqa", kRecordedQuestion, kQuestionContext, " rain", 1)});
  const Json gap = {{"sentence", "So _ won."},
                    {"option1", "Ann"},
                    {"option2", "Bob"},
                    {"answer", "1"},
                    {"index", 4}};
  record("wino.jsonl", {request("winogrande", gap, "Ann sat.\n\nSo Bob", " won.", 1)});
  const TestDirectory common;
  common.write("csqa.validation.jsonl",
               R"({"id": "q7", "question": "Wet?", "choices": ["sand", "snow"], "label": 1})"
               "\n");
  common.write("winogrande.validation.jsonl",
               R"({"id": "val-4", "question": "So _ won!", "choices": ["Ann", "Bob"], "label": 0})"
               "\n");
  const TestDirectory raw;
  raw.write("dev.jsonl",
            R"({"sentence": "So _ won.", "option1": "Ann", "option2": "Bob", "answer": "1"})"
            "\n");
  raw.write("dev_rand_split.jsonl",
            R"({"id": "other", "question": {"stem": "Wet?", "choices": [{"text": "x", )"
            R"("label": "A"}]}, "answerKey": "A"})"
            "\n");
  const auto checks = check({common.path(), raw.path()});
  ASSERT_EQ(checks[0].data.size(), 2U);
  EXPECT_EQ(first_part(checks[0].data[0]), "continuation");  // snow, by id
  EXPECT_EQ(first_part(checks[1].data[0]), "continuation");  // "!", by position
  EXPECT_EQ(checks[1].data[1].equal, 1);                     // by text
  EXPECT_EQ(count_differences(checks), 3);  // the last of csqa has one choice, found by its text
}

TEST_F(RequestCheck, WhatIsNotInADataFileIsCounted) {
  record("csqa.jsonl", {request("csqa", kRecordedQuestion, kQuestionContext, " rain", 1)});
  const TestDirectory data;
  data.write("csqa.jsonl",
             R"({"id": "q8", "question": "Dry?", "choices": ["sand", "snow"], "label": 1})");
  const auto checks = check({data.path()});
  EXPECT_EQ(checks[0].data[0].requests, 0);
  EXPECT_EQ(checks[0].data[0].not_found, 1);
  expect_contains(describe(checks),
                  "csqa.jsonl: 0 of 0 equal, 1 with a document that is not in it");
}

TEST_F(RequestCheck, WhatCannotBeCheckedIsRefused) {
  expect_contains(error_of(ErrorCode::kData, [&] { (void)check(); }),
                  "expected at least one recorded request in a .jsonl file, got none");
  record("csqa.jsonl", {request("csqb", kRecordedQuestion, kQuestionContext, " rain", 1)});
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)check(); }),
                  "csqa.jsonl:1: expected the name of a task in \"task_name\", got \"csqb\"");
  record("csqa.jsonl", {Json{{"task_name", "csqa"}}});
  expect_contains(error_of(ErrorCode::kData, [&] { (void)check(); }),
                  "csqa.jsonl:1: expected the key \"request\", got none");
  expect_contains(error_of(ErrorCode::kConfig,
                           [&] {
                             (void)check_requests(
                                 directory_.path(),
                                 {.data = {}, .few_shot_file = {}, .shots = std::nullopt});
                           }),
                  "Name it with --fewshot FILE, or use --shots 0");
}

}  // namespace
}  // namespace loopbank
