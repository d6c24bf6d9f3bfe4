#include "loopbank/benchmark/benchmark.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "loopbank/data/text_reader.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::content_of;
using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

BenchmarkOptions small_options() {
  BenchmarkOptions options;
  options.seed = 3;
  options.facts.num_people = 24;
  options.facts.num_places = 12;
  options.num_eval_instances = 40;
  options.training_bytes = 200'000;
  options.validation_bytes = 20'000;
  return options;
}

std::string one_a_line(const std::vector<std::string>& documents) {
  std::string text;
  for (const auto& document : documents) {
    text += document + "\n";
  }
  return text;
}

bool is_reasoning(const std::string& document) {
  return document.starts_with("Question: ") &&
         document.find_first_of("0123456789") != std::string::npos;
}

TEST(MakeBenchmark, SameOptionsSameBenchmarkOtherSeedAnother) {
  const auto options = small_options();
  const auto first = make_benchmark(options);
  const auto second = make_benchmark(options);
  EXPECT_EQ(first.training_documents, second.training_documents);
  EXPECT_EQ(first.validation_documents, second.validation_documents);
  auto other_options = options;
  other_options.seed = 4;
  const auto other = make_benchmark(other_options);
  EXPECT_NE(first.training_documents, other.training_documents);
  EXPECT_NE(first.facts.front().context, other.facts.front().context);
}

TEST(MakeBenchmark, GivesEachPartItsShareOfTheBytes) {
  for (const double share : {0.2, 0.5, 0.8}) {
    auto options = small_options();
    options.facts_share = share;
    const auto benchmark = make_benchmark(options);
    double facts = 0.0;
    double questions = 0.0;
    double all = 0.0;
    for (const auto& document : benchmark.training_documents) {
      const auto bytes = static_cast<double>(document.size());
      all += bytes;
      facts += is_reasoning(document) ? 0.0 : bytes;
      questions += !is_reasoning(document) && document.starts_with("Question: ") ? bytes : 0.0;
    }
    EXPECT_NEAR(all, 200'000.0, 1000.0);
    EXPECT_NEAR(facts / all, share, 0.01);
    EXPECT_NEAR(questions / facts, options.facts.question_share, 0.02);
  }
}

TEST(MakeBenchmark, EvaluatedQuestionsStandInNoTrainingText) {
  const auto benchmark = make_benchmark(small_options());
  const auto text = one_a_line(benchmark.training_documents);
  ASSERT_EQ(benchmark.facts.size(), 40U);
  ASSERT_EQ(benchmark.reasoning.size(), 40U);
  for (const auto* part : {&benchmark.facts, &benchmark.reasoning}) {
    for (const auto& instance : *part) {
      EXPECT_EQ(text.find(instance.context), std::string::npos) << instance.context;
    }
  }
}

TEST(MakeBenchmark, EvaluatedFactsAreTold) {
  const auto options = small_options();
  const auto benchmark = make_benchmark(options);
  const Facts facts(options.facts, options.seed);
  const auto text = one_a_line(benchmark.training_documents);
  RandomStream random(0);
  for (const auto& fact : facts.all()) {
    int64_t num_wordings = 0;
    std::set<std::string> wordings;
    while (wordings.size() < static_cast<size_t>(options.facts.wordings_per_fact)) {
      wordings.insert(facts.statement(fact, random));
    }
    for (const auto& wording : wordings) {
      num_wordings += text.find(wording) != std::string::npos ? 1 : 0;
    }
    EXPECT_GE(num_wordings, 4) << facts.question(fact);
  }
}

TEST(MakeBenchmark, ContextsContinueAsTrainingTextDoes) {
  const auto benchmark = make_benchmark(small_options());
  // What stands around a question in training: frame in front, a space and the answer behind.
  for (const auto& document : benchmark.training_documents) {
    std::istringstream lines(document);
    for (std::string line; document.starts_with("Question: ") && std::getline(lines, line);) {
      const auto answer = line.find(" Answer: ");
      ASSERT_NE(answer, std::string::npos) << line;
      EXPECT_GT(line.size(), answer + 9) << line;
    }
  }
  for (const auto& instance : benchmark.facts) {
    EXPECT_TRUE(instance.context.starts_with("Question: ")) << instance.context;
    EXPECT_TRUE(instance.context.ends_with("? Answer:")) << instance.context;
  }
}

TEST(WriteBenchmark, WritesWhatTheReadersExpect) {
  const auto benchmark = make_benchmark(small_options());
  const TestDirectory directory;
  const auto folder = directory.path() / "a" / "b";
  write_benchmark(benchmark, folder);

  for (const auto& [name, documents] :
       {std::pair{"train.jsonl", &benchmark.training_documents},
        std::pair{"validation.jsonl", &benchmark.validation_documents}}) {
    TextReader reader(folder / name);
    std::string document;
    for (const auto& expected : *documents) {
      ASSERT_TRUE(reader.next(document));
      EXPECT_EQ(document, expected);
    }
    EXPECT_FALSE(reader.next(document));
  }
  for (const auto& [name, instances] : {std::pair{"facts.jsonl", &benchmark.facts},
                                        std::pair{"reasoning.jsonl", &benchmark.reasoning}}) {
    std::istringstream lines(content_of(folder / name));
    std::string line;
    for (const auto& expected : *instances) {
      ASSERT_TRUE(std::getline(lines, line));
      const auto row = nlohmann::json::parse(line);
      EXPECT_EQ(row.at("task"), expected.task);
      EXPECT_EQ(row.at("id"), expected.id);
      EXPECT_EQ(row.at("split"), "test");
      EXPECT_EQ(row.at("context"), expected.context);
      EXPECT_EQ(row.at("choices"), nlohmann::json(expected.choices));
      EXPECT_EQ(row.at("label"), expected.label);
      EXPECT_EQ(row.at("difficulty"), expected.difficulty);
      EXPECT_EQ(row.at("kind"), expected.kind);
    }
    EXPECT_FALSE(std::getline(lines, line));
  }
  const auto description = nlohmann::json::parse(content_of(folder / "benchmark.json"));
  EXPECT_EQ(description.at("seed"), 3);
  EXPECT_EQ(description.at("facts").at("people"), 24);
  EXPECT_EQ(description.at("facts").at("instances"), 40);
  EXPECT_EQ(description.at("training").at("documents"), benchmark.training_documents.size());
}

TEST(MakeBenchmark, NamesTheOptionThatIsOutOfRange) {
  const auto error = [](auto change) {
    auto options = small_options();
    change(options);
    return error_of(ErrorCode::kConfig, [&] { static_cast<void>(make_benchmark(options)); });
  };
  expect_contains(error([](auto& options) { options.facts_share = 1.5; }), "got 1.5");
  expect_contains(error([](auto& options) { options.num_eval_instances = 0; }), "got 0");
  expect_contains(error([](auto& options) { options.training_bytes = -1; }),
                  "benchmark: \"training_bytes\" expects a whole number of 1 or more, got -1.");
  expect_contains(error([](auto& options) { options.facts.num_people = 2; }), "got 2");
  expect_contains(error([](auto& options) { options.reasoning.kinds.clear(); }), "got none");
}

}  // namespace
}  // namespace loopbank
