#include "loopbank/eval/task_files.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/data/compressed.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::content_of;
using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

std::string row(const std::string& id, int label = 0) {
  return "{\"id\": \"" + id + "\", \"question\": \"Q?\", \"context\": \"C\", " +
         "\"choices\": [\"a\", \"bc\"], \"label\": " + std::to_string(label) + "}\n";
}

std::vector<Task> load(const TestDirectory& directory, const std::vector<std::string>& names,
                       TaskSource source = {}) {
  source.directories = {directory.path()};
  return load_tasks(names, source);
}

std::string first_id(const std::vector<Task>& tasks) {
  return tasks.at(0).instances.at(0).id;
}

TEST(TaskFiles, FieldsThatNobodyReadsMayHoldWhatWritersEmit) {
  const TestDirectory directory;
  const std::string begin = R"({"id": "a", "question": "q", "choices": ["x", "y"], "label": )";
  directory.write("arc_easy.jsonl",
                  begin + R"(1, "score": NaN, "meta": {"n": 1e400, "t": "\ud800"}})");
  EXPECT_EQ(first_id(load(directory, {"arc_easy"})), "a");
  for (const auto* label : {"NaN", "1e400", "Infinity"}) {
    const auto path = directory.write("arc_easy.jsonl", "\n" + begin + label + "}\n");
    const auto message = error_of(ErrorCode::kData, [&] { (void)load(directory, {"arc_easy"}); });
    EXPECT_TRUE(message.starts_with(path.string() + ":2: ")) << message;
    EXPECT_NE(message.find(label), std::string::npos) << message;
  }
}

TEST(TaskFiles, TheSplitOfOlmesComesFirst) {
  const TestDirectory directory;
  directory.write("arc_easy.jsonl", row("plain"));
  EXPECT_EQ(first_id(load(directory, {"arc_easy"})), "plain");
  directory.write("arc_easy.validation.jsonl", row("validation"));
  EXPECT_EQ(first_id(load(directory, {"arc_easy"})), "validation");
  directory.write("arc_easy.test.jsonl", row("test"));
  EXPECT_EQ(first_id(load(directory, {"arc_easy"})), "test");
  directory.write("piqa.validation.jsonl", row("validation"));
  directory.write("piqa.test.jsonl", row("test"));
  EXPECT_EQ(first_id(load(directory, {"piqa"})), "validation");
}

TEST(TaskFiles, CompressedFilesAreRead) {
  const TestDirectory directory;
  directory.write("csqa.validation.jsonl.zst", testing::zstd(row("z") + row("y")));
  directory.write("piqa.validation.jsonl.gz", testing::gzip(row("g")));
  const auto tasks = load(directory, {"csqa", "piqa"});
  EXPECT_EQ(tasks[0].instances.size(), 2U);
  EXPECT_EQ(tasks[0].bare_context, "Answer:");
  EXPECT_EQ(tasks[1].instances[0].id, "g");
  EXPECT_EQ(tasks[1].bare_context, "");
}

TEST(TaskFiles, AnyOtherFileIsATaskScoredVerbatim) {
  const TestDirectory directory;
  directory.write("facts.jsonl", row("f", 1));
  directory.write("recall.jsonl", R"({"context": "C", "choices": ["x"], "label": 0})");
  const auto tasks = load(directory, {"facts", "recall"});
  EXPECT_EQ(tasks[0].instances[0].choices[0].context, "C");
  EXPECT_EQ(tasks[0].instances[0].choices[1].continuation, " bc");
  EXPECT_EQ(tasks[0].metric, Metric::kAccPerChar);
  EXPECT_EQ(tasks[1].metric, Metric::kBitsPerByte);  // nothing to choose from
}

TEST(TaskFiles, MathIsToldApartByTheTaskOfEachRow) {
  const TestDirectory directory;
  directory.write("MATH.test.jsonl",
                  R"({"task": "minerva_math_algebra", "id": "a", "problem": "p", "solution": "s"})"
                  "\n"
                  R"({"task": "minerva_math_geometry", "id": "g", "problem": "p", "solution": "s"})"
                  "\n");
  const auto tasks = load(directory, {"minerva_math_geometry", "minerva_math_algebra"});
  EXPECT_EQ(tasks[0].instances.size(), 1U);
  EXPECT_EQ(tasks[0].instances[0].id, "g");
  EXPECT_EQ(tasks[1].instances[0].id, "a");
  expect_contains(error_of(ErrorCode::kData, [&] { (void)load(directory, {"math"}); }),
                  "expected at least one instance of minerva_math_counting_and_probability");
}

TEST(TaskFiles, LimitTakesTheFirst) {
  const TestDirectory directory;
  directory.write("facts.jsonl", row("1") + row("2") + "\n" + row("3") + "broken\n");
  EXPECT_EQ(
      load(directory, {"facts"}, {.directories = {}, .limit = 3, .shots = 0, .few_shot_file = {}})
          .at(0)
          .instances.size(),
      3U);
  expect_contains(error_of(ErrorCode::kData, [&] { (void)load(directory, {"facts"}); }),
                  "facts.jsonl:5:1: expected a line of JSON");
}

TEST(TaskFiles, BrokenLinesAreNamed) {
  const TestDirectory directory;
  directory.write("facts.jsonl", row("1") + row("2", 2));
  expect_contains(error_of(ErrorCode::kData, [&] { (void)load(directory, {"facts"}); }),
                  "facts.jsonl:2: expected a label from 0 to 1, got 2");
  directory.write("facts.jsonl", "{\"context\": \"\xFF\"}\n");
  expect_contains(error_of(ErrorCode::kData, [&] { (void)load(directory, {"facts"}); }),
                  "facts.jsonl:1:14: expected a line of JSON");
  directory.write("facts.jsonl", row("1") + std::string(300'000, '[') + std::string(300'000, ']'));
  expect_contains(error_of(ErrorCode::kData, [&] { (void)load(directory, {"facts"}); }),
                  "facts.jsonl:2:129: expected JSON that nests at most 128 levels");
  directory.write("facts.jsonl", "");
  expect_contains(error_of(ErrorCode::kData, [&] { (void)load(directory, {"facts"}); }),
                  "expected at least one instance of facts, got none");
}

TEST(TaskFiles, UnknownNamesMeetTheNearest) {
  const TestDirectory directory;
  directory.write("facts.jsonl", row("1"));
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)load(directory, {"arc-eazy"}); }),
                  "unknown task \"arc-eazy\". Did you mean \"arc_easy\"?");
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)load(directory, {"fact"}); }),
                  "Did you mean \"facts\"?");
}

TEST(TaskFiles, MissingFilesAndFoldersAreNamed) {
  const TestDirectory directory;
  expect_contains(error_of(ErrorCode::kData, [&] { (void)load(directory, {"hellaswag"}); }),
                  "expected hellaswag.validation.jsonl or hellaswag.test.jsonl");
  expect_contains(error_of(ErrorCode::kData,
                           [] {
                             TaskSource source;
                             source.directories = {"/absent"};
                             (void)load_tasks({"piqa"}, source);
                           }),
                  "/absent: expected a folder of .jsonl files, got nothing of that name");
}

TEST(TaskFiles, ShotsNeedAFileAndStandBeforeTheQuery) {
  const TestDirectory directory;
  directory.write("piqa.validation.jsonl", row("1"));
  TaskSource source;
  source.shots = 1;
  expect_contains(error_of(ErrorCode::kConfig, [&] { (void)load(directory, {"piqa"}, source); }),
                  "--shots 1: expected a file of shots, got none. Name one with --fewshot FILE");
  source.few_shot_file = directory.write(
      "shots.jsonl", R"({"task": "piqa", "num_shots": 2, "prefix": "Goal: x\n\nGoal: y\n\n"})");
  const auto tasks = load(directory, {"piqa"}, source);
  EXPECT_EQ(tasks[0].instances[0].choices[1].context, "Goal: x\n\nGoal: Q?\nAnswer:");
  EXPECT_EQ(tasks[0].shots, 1);
}

TEST(TaskFiles, NamesOfOlmesBringItsShots) {
  const TestDirectory directory;
  directory.write("piqa.validation.jsonl", row("1"));
  expect_contains(
      error_of(ErrorCode::kConfig, [&] { (void)load(directory, {"piqa:rc::olmes:full"}); }),
      "piqa:rc::olmes:full: expected a file of its 5 shots, got none. Name one with --fewshot");
  TaskSource source;
  source.few_shot_file = directory.write(
      "shots.txt.jsonl", R"({"task": "piqa:rc::olmes", "num_shots": 5, "prefix": "five\n\n"})");
  const auto tasks = load(directory, {"piqa:rc::olmes:full", "piqa:bpb"}, source);
  EXPECT_EQ(tasks[0].name, "piqa:rc::olmes:full");
  EXPECT_EQ(tasks[0].shots, 5);
  EXPECT_EQ(tasks[0].instances[0].choices[0].context, "five\n\nGoal: Q?\nAnswer:");
  EXPECT_EQ(tasks[0].metric, Metric::kAccPerChar);
  EXPECT_EQ(tasks[1].shots, 0);
  EXPECT_EQ(tasks[1].metric, Metric::kBitsPerByte);
  source.shots = 0;
  EXPECT_EQ(load(directory, {"piqa:rc::olmes:full"}, source)[0].shots, 0);
}

std::string rows(int64_t count) {
  std::string text;
  for (int64_t i = 0; i < count; ++i) {
    text += row(std::to_string(i));
  }
  return text;
}

std::vector<std::string> ids(const Task& task) {
  std::vector<std::string> all;
  for (const auto& instance : task.instances) {
    all.push_back(instance.id);
  }
  return all;
}

TEST(OlmesSample, IsDrawnFromTheWholeSplit) {
  const TestDirectory directory;
  directory.write("piqa.validation.jsonl", rows(1838));
  TaskSource source;
  source.documents = DocumentChoice::kOlmes;
  const auto task = load(directory, {"piqa"}, source)[0];
  ASSERT_EQ(task.instances.size(), 1000U);
  EXPECT_EQ(task.instances[0].id, "1593");
  EXPECT_EQ(task.instances[999].id, "311");
  EXPECT_TRUE(task.notes.empty());
  source.documents = DocumentChoice::kFirst;
  source.shots = 0;  // the name asks for the sample as well
  EXPECT_EQ(ids(load(directory, {"piqa:rc::olmes"}, source)[0]), ids(task));
  EXPECT_EQ(load(directory, {"piqa:rc::olmes:full"}, source)[0].instances.size(), 1838U);
  EXPECT_EQ(first_id(load(directory, {"piqa:rc::olmes:full"}, source)), "0");
}

TEST(OlmesSample, ALimitIsDrawnInItsPlace) {
  const TestDirectory directory;
  directory.write("piqa.validation.jsonl", rows(1838));
  directory.write("facts.jsonl", rows(22));
  TaskSource source;
  source.documents = DocumentChoice::kOlmes;
  source.limit = 3;
  EXPECT_EQ(ids(load(directory, {"piqa"}, source)[0]),
            (std::vector<std::string>{"1593", "902", "239"}));
  source.limit = 1838;
  EXPECT_EQ(first_id(load(directory, {"piqa"}, source)), "0");  // all of them: nothing to draw
  source.limit = 0;
  EXPECT_EQ(load(directory, {"facts"}, source)[0].instances.size(), 22U);
}

TEST(OlmesSample, APartOfTheSplitIsScoredWholeAndSaysSo) {
  const TestDirectory directory;
  directory.write("piqa.validation.jsonl", rows(20));
  TaskSource source;
  source.documents = DocumentChoice::kOlmes;
  auto task = load(directory, {"piqa"}, source)[0];
  EXPECT_EQ(task.instances.size(), 20U);
  ASSERT_EQ(task.notes.size(), 1U);
  EXPECT_EQ(task.notes[0],
            "piqa: not the documents of OLMES, which scores 1000 of the 1838 of the validation "
            "split: piqa.validation.jsonl holds 20, of which the first 20 are scored");
  source.limit = 7;
  task = load(directory, {"piqa"}, source)[0];
  EXPECT_EQ(task.instances.size(), 7U);
  EXPECT_EQ(task.instances[6].id, "6");
  expect_contains(task.notes[0], "of which the first 7 are scored");
}

TEST(TaskFiles, ASecondUseOfAnIdNamesBothLines) {
  const TestDirectory directory;
  directory.write("facts.jsonl", row("1") + row("2") + "\n" + row("1"));
  const auto path = (directory.path() / "facts.jsonl").string();
  EXPECT_EQ(error_of(ErrorCode::kData, [&] { (void)load(directory, {"facts"}); }),
            path + ":4: expected a unique id, got \"1\" as at " + path + ":1. Drop one of them.");
}

constexpr const char* kGoals =
    "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n"
    "{\"goal\": \"h\", \"sol1\": \"c\", \"sol2\": \"d\"}\n";

TEST(LabelFiles, StandBesideTheRows) {
  const TestDirectory directory;
  directory.write("piqa.valid.jsonl.zst", testing::zstd(kGoals));
  directory.write("piqa.valid-labels.lst.zst", testing::zstd("1\n0\n\n"));
  const auto task = load(directory, {"piqa"})[0];
  ASSERT_EQ(task.instances.size(), 2U);
  EXPECT_EQ(task.instances[0].label, 1);
  EXPECT_EQ(task.instances[1].label, 0);
}

TEST(LabelFiles, OfAnotherLengthAreRefused) {
  const TestDirectory directory;
  const auto goals = directory.write("valid.jsonl", kGoals).string();
  const auto labels = directory.write("valid-labels.lst", "1\n").string();
  const auto refusal = [&] {
    return error_of(ErrorCode::kData, [&] { (void)load(directory, {"piqa"}); });
  };
  EXPECT_EQ(refusal(),
            labels + ": expected a label for each row of " + goals + ", got 1. Row 2 has none.");
  directory.write("valid-labels.lst", "1\n0\n1\n");
  EXPECT_EQ(refusal(), labels + ": expected 2 labels, as " + goals + " has rows, got 3.");
  directory.write("valid-labels.lst", "1\n2\n");
  EXPECT_EQ(refusal(), goals + ":2 (label at " + labels +
                           ":2): expected \"label\" from 0 to 1, got "
                           "\"2\". It counts the choices from 0.");
  std::filesystem::remove(labels);
  expect_contains(refusal(), "valid.jsonl:1: expected the key \"label\", got none");
}

TEST(TaskFiles, MathIsToldApartByTheTypeOfEachRow) {
  const TestDirectory directory;
  directory.write("MATH.test.raw.jsonl",
                  R"({"problem": "p", "solution": "s", "type": "Counting & Probability"})"
                  "\n"
                  R"({"problem": "q", "solution": "s", "type": "Intermediate Algebra"})"
                  "\n"
                  R"({"problem": "r", "solution": "s", "type": "Algebra"})"
                  "\n");
  const auto context = [&](const char* name) {
    const auto task = load(directory, {name})[0];
    EXPECT_EQ(task.instances.size(), 1U);
    return task.instances[0].choices[0].context;
  };
  EXPECT_EQ(context("minerva_math_counting_and_probability"), "Problem:\np\n\nSolution:");
  EXPECT_EQ(context("minerva_math_intermediate_algebra"), "Problem:\nq\n\nSolution:");
  EXPECT_EQ(context("minerva_math_algebra"), "Problem:\nr\n\nSolution:");
  directory.write("MATH.test.raw.jsonl", R"({"problem": "p", "solution": "s"})");
  expect_contains(
      error_of(ErrorCode::kData, [&] { (void)load(directory, {"minerva_math_algebra"}); }),
      "MATH.test.raw.jsonl:1: expected the key \"type\", got none");
}

TEST(PublishedNames, ASharedNameIsReadByItsForm) {
  const TestDirectory directory;
  directory.write("dev.jsonl",
                  R"({"sentence": "So _ won.", "option1": "a", "option2": "b", "answer": "1"})");
  EXPECT_EQ(load(directory, {"winogrande"})[0].instances.size(), 1U);
  for (const char* other : {"piqa", "socialiqa", "openbookqa"}) {
    expect_contains(error_of(ErrorCode::kData, [&] { (void)load(directory, {other}); }),
                    "dev.jsonl (or .jsonl.zst");
  }
}

TEST(PublishedNames, AreFound) {
  const std::string keyed =
      R"({"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "A"})";
  const std::string hellaswag =
      R"({"activity_label": "a", "ctx_a": "b", "ctx_b": "", "endings": ["c"], "label": 0})";
  for (const auto& [task, file, content] : std::vector<std::array<std::string, 3>>{
           {"arc_easy", "ARC-Easy-Test.jsonl", keyed},
           {"arc_challenge", "ARC-Challenge-Test.jsonl", keyed},
           {"csqa", "dev_rand_split.jsonl", keyed},
           {"openbookqa", "test.jsonl", keyed},
           {"hellaswag", "hellaswag_val.jsonl", hellaswag},
           {"lambada", "lambada_test.jsonl", R"({"text": "a b"})"},
           {"gsm8k", "test.jsonl", R"({"question": "q", "answer": "a\n#### 1"})"}}) {
    const TestDirectory directory;
    directory.write(file, content);
    EXPECT_EQ(load(directory, {task})[0].instances.size(), 1U) << task;
  }
}

TEST(TaskFiles, SuitesUnfoldInTheirLongerSpellings) {
  EXPECT_EQ(expand_suites({"commonsense:rc::olmes"}).at(2), "hellaswag:rc::olmes");
  EXPECT_EQ(expand_suites({"math:bpb::olmes"}).size(), 7U);
  EXPECT_EQ(expand_suites({"commonsense:bpb"}).at(5), "socialiqa:bpb");
}

TEST(TaskFiles, SuitesUnfoldAndNothingIsScoredTwice) {
  const auto names = expand_suites({"piqa", "commonsense", "facts", "piqa"});
  EXPECT_EQ(names, (std::vector<std::string>{"piqa", "arc_easy", "arc_challenge", "hellaswag",
                                             "winogrande", "socialiqa", "facts"}));
}

}  // namespace
}  // namespace loopbank
