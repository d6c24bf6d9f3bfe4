/// Rows in the forms in which the data sets are published; the words are our own.

#include "loopbank/eval/document.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "loopbank/eval/task.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;
using testing::error_of;
using testing::expect_contains;
using Texts = std::vector<std::string>;

Document read(const std::string& task, const std::string& row) {
  return read_document(task_form(task).prompt, Json::parse(row), "rows.jsonl:3");
}

std::string row_refusal(const std::string& task, const std::string& row) {
  return error_of(ErrorCode::kData, [&] { (void)read(task, row); });
}

/// Every prompt of a row: `context|continuation`.
Texts prompts(const std::string& task, const std::string& row) {
  const auto form = task_form(task).prompt;
  Texts all;
  for (const auto& choice : make_instance(form, read(task, row), "").choices) {
    all.push_back(choice.context + "|" + choice.continuation);
  }
  return all;
}

TEST(OfficialRows, KeyedQuestionsOfThreeDataSets) {
  const Texts expected = {"Question: What is wet?\nAnswer:| sand",
                          "Question: What is wet?\nAnswer:| rain"};
  const std::string choices = R"("choices": {"text": ["sand", "rain"], "label": ["A", "B"]}, )";
  for (const auto& row : std::vector<std::string>{
           R"({"id": "q", "question": "What is wet?", )" + choices + R"("answerKey": "B"})",
           R"({"id": "q", "question_stem": "What is wet?", )" + choices + R"("answerKey": "B"})",
           R"({"id": "q", "question": "What is wet?", "question_concept": "wet", )" + choices +
               R"("answerKey": "2"})",
           R"({"id": "q", "question": {"stem": "What is wet?", "choices":
            [{"text": "sand", "label": "A"}, {"text": "rain", "label": "B"}]}, "answerKey": "B"})"}) {
    EXPECT_EQ(prompts("arc_easy", row), expected) << row;
    EXPECT_EQ(read("openbookqa", row).label, 1) << row;
    EXPECT_EQ(read("csqa", row).id, "q") << row;
  }
}

TEST(OfficialRows, AnswerKeysOfNumbersNameChoicesOfNumbers) {
  EXPECT_EQ(read("arc_challenge", R"({"question": "Q", "answerKey": "3", "choices":
      {"text": ["a", "b", "c"], "label": ["1", "2", "3"]}})")
                .label,
            2);
}

TEST(OfficialRows, Goal) {
  const std::string row = R"({"goal": "Open a jar", "sol1": "Pull.", "sol2": "Turn.", "label": 1})";
  EXPECT_EQ(prompts("piqa", row),
            (Texts{"Goal: Open a jar\nAnswer:| Pull.", "Goal: Open a jar\nAnswer:| Turn."}));
  EXPECT_EQ(read("piqa", row).label, 1);
}

TEST(OfficialRows, Situation) {
  const std::string row = R"({"context": "Ann fell.", "question": "What now?",
      "answerA": "rest", "answerB": "run", "answerC": "sing", "label": "3"})";
  EXPECT_EQ(prompts("socialiqa", row), (Texts{"Question: Ann fell. What now?\nAnswer:| rest",
                                              "Question: Ann fell. What now?\nAnswer:| run",
                                              "Question: Ann fell. What now?\nAnswer:| sing"}));
  EXPECT_EQ(read("socialiqa", row).label, 2);
}

TEST(OfficialRows, HellaswagIsCleanedAndKeepsTwoSpaces) {
  const std::string row = R"({"ind": 4, "activity_label": "Knots", "ctx_a": "Ann ties. [title] Go.",
      "ctx_b": "then BOB", "ctx": "unused", "endings": ["[step] Pulls.", "sings. [step] Loud"],
      "label": "1", "split": "val"})";
  EXPECT_EQ(prompts("hellaswag", row), (Texts{"Knots: Ann ties. Go. Then bob|  Pulls.",
                                              "Knots: Ann ties. Go. Then bob| sings. Loud"}));
  EXPECT_EQ(read("hellaswag", row).label, 1);
  EXPECT_EQ(read("hellaswag", row).id, "");  // `ind` is not unique
}

TEST(OfficialRows, TheLastWordOfAText) {
  EXPECT_EQ(prompts("lambada", R"({"text": "\"No,\" said Ann, and took the rope"})"),
            (Texts{"\"No,\" said Ann, and took the| rope"}));
}

TEST(OfficialRows, FillInHasTwoContexts) {
  const std::string row = R"({"qID": "w1", "sentence": "Ann thanked Bob since _  helped. ",
      "option1": "Ann", "option2": "Bob", "answer": "2"})";
  EXPECT_EQ(prompts("winogrande", row),
            (Texts{"Ann thanked Bob since Ann| helped.", "Ann thanked Bob since Bob| helped."}));
  EXPECT_EQ(read("winogrande", row).label, 1);
  EXPECT_EQ(read("winogrande", row).id, "w1");
}

TEST(OfficialRows, ProblemAndWordProblem) {
  EXPECT_EQ(prompts("minerva_math_geometry",
                    R"({"problem": "1+1?", "level": "Level 1", "type": "Geometry",
                        "solution": "It is $\\boxed{2}$."})"),
            (Texts{"Problem:\n1+1?\n\nSolution:| It is $\\boxed{2}$."}));
  EXPECT_EQ(
      prompts("gsm8k", R"({"question": "How many?", "answer": "2+3=<<2+3=5>>5 in all.\n#### 5"})"),
      (Texts{"Question: How many?\nAnswer:| 2 + 3 = 5 in all. So the answer is 5."}));
}

TEST(OfficialRows, ARecordedQueryStandsAsItIs) {
  const std::string row =
      R"({"id": "q", "query": "Question: Odd  one\nAnswer:", "choices": ["a", "b"], "gold": 1})";
  EXPECT_EQ(prompts("csqa", row),
            (Texts{"Question: Odd  one\nAnswer:| a", "Question: Odd  one\nAnswer:| b"}));
  EXPECT_EQ(read("csqa", row).label, 1);
}

TEST(BrokenRows, LabelsOutOfRangeAreNamed) {
  EXPECT_EQ(row_refusal("piqa", R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 2})"),
            "rows.jsonl:3: expected \"label\" from 0 to 1, got 2. It counts the choices from 0.");
  EXPECT_EQ(
      row_refusal("winogrande",
                  R"({"sentence": "_ b", "option1": "a", "option2": "b", "answer": "0"})"),
      "rows.jsonl:3: expected \"answer\" from 1 to 2, got \"0\". It counts the choices from 1.");
  const std::string situation =
      R"({"context": "c", "question": "q", "answerA": "a", "answerB": "b", "answerC": "c", "label": )";
  expect_contains(row_refusal("socialiqa", situation + "\"4\"}"), "from 1 to 3, got \"4\"");
  expect_contains(row_refusal("socialiqa", situation + "\"\"}"), "from 1 to 3, got \"\"");
  expect_contains(row_refusal("socialiqa", situation + "null}"), "from 1 to 3, got null");
  expect_contains(row_refusal("socialiqa", situation + "1.5}"), "from 1 to 3, got 1.5");
}

TEST(BrokenRows, AnAnswerKeyThatNamesNoChoice) {
  const std::string row = R"({"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]},
      "answerKey": )";
  EXPECT_EQ(row_refusal("arc_easy", row + "\"C\"}"),
            "rows.jsonl:3: expected \"answerKey\" to be one of A, B, got \"C\".");
  expect_contains(row_refusal("arc_easy", row + "\"\"}"), "to be one of A, B, got \"\"");
  expect_contains(row_refusal("arc_easy", row + "2}"), "\"answerKey\" expects a text, got 2");
  expect_contains(row_refusal("arc_easy", R"({"question": "q", "answerKey": "A",
      "choices": {"text": ["a", "b"], "label": ["A"]}})"),
                  "expected a label for each of the 2 choices, got 1");
}

TEST(BrokenRows, AnEmptyChoiceIsRefused) {
  EXPECT_EQ(row_refusal("piqa", R"({"goal": "g", "sol1": " ", "sol2": "b", "label": 0})"),
            "rows.jsonl:3: expected a choice with a word in it in \"sol1\", got \" \".");
  expect_contains(row_refusal("facts", R"({"context": "c", "choices": ["a", ""], "label": 0})"),
                  "in \"choices\", got \"\"");
  expect_contains(row_refusal("hellaswag", R"({"activity_label": "a", "ctx_a": "b", "ctx_b": "c",
      "endings": ["[step]", "b"], "label": 0})"),
                  "in \"endings\", got \"\"");
}

TEST(BrokenRows, MissingFieldsAndOtherTypesAreNamed) {
  expect_contains(row_refusal("piqa", R"({"goal": "g", "sol1": "a", "label": 0})"),
                  "rows.jsonl:3: expected the key \"sol2\", got none");
  expect_contains(row_refusal("piqa", R"({"goal": "g", "sol1": "a", "sol2": 2, "label": 0})"),
                  "expected a text in \"sol2\", got 2");
  expect_contains(row_refusal("hellaswag", R"({"endings": ["a"], "label": 0})"),
                  "expected the key \"activity_label\"");
  expect_contains(row_refusal("arc_easy", R"({"question": "q", "answerKey": "A"})"),
                  "expected the key \"choices\"");
  expect_contains(row_refusal("lambada", R"({"text": "alone"})"),
                  "expected a space and a last word");
  expect_contains(
      row_refusal("winogrande",
                  R"({"sentence": "no gap", "option1": "a", "option2": "b", "answer": "1"})"),
      "expected a \"_\" in \"sentence\", got \"no gap\"");
  expect_contains(row_refusal("gsm8k", R"({"question": "q", "answer": "5"})"), "expected \"####\"");
}

}  // namespace
}  // namespace loopbank
