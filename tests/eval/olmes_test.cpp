/// The prompts and the figures that OLMES publishes. Skipped where ../shared/data is absent.

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "loopbank/eval/evaluate.h"
#include "loopbank/eval/json_lines.h"
#include "loopbank/eval/python_sample.h"
#include "loopbank/eval/request_check.h"
#include "loopbank/eval/task_files.h"
#include "tests/eval/bigram_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

fs::path shared_data() {
  return fs::path(LOOPBANK_SOURCE_DIR).parent_path() / "shared/data";
}

/// Published tasks with the shots they were published with.
struct Published {
  const char* task;
  const char* requests;  ///< under shared_data()
  int64_t shots;
  int64_t context_tokens;  ///< of doc 0, its correct choice, with the shots; GPT-2's BPE
  int64_t continuation_tokens;
  int64_t characters;
  double uniform_bpb;
};
void PrintTo(const Published& item, std::ostream* out) {
  *out << item.task;
}

const std::array<Published, 9> kPublished = {{
    {"arc_easy", "eval/olmes_requests/arc_easy_rc_5shot.test", 5, 176, 12, 60, 3.123407},
    {"arc_challenge", "eval/olmes_requests/arc_challenge_rc_5shot.test", 5, 194, 6, 36, 2.602839},
    {"hellaswag", "eval/olmes_requests/hellaswag_rc_5shot.validation", 5, 428, 50, 232, 3.365741},
    {"piqa", "eval/olmes_requests/piqa_rc_5shot.validation", 5, 178, 38, 165, 3.596651},
    {"winogrande", "eval/olmes_requests/winogrande_rc_5shot.validation", 5, 119, 6, 29, 3.231111},
    {"socialiqa", "eval/olmes_requests/socialiqa_rc_5shot.validation", 5, 198, 4, 21, 2.974674},
    {"csqa", "eval/olmes_requests/csqa_rc_5shot.validation", 5, 145, 1, 5, 3.123407},
    {"openbookqa", "eval/olmes_requests/openbookqa_rc_5shot.test", 5, 138, 4, 22, 2.839461},
    {"minerva_math_algebra", "math/olmes_requests/minerva_math_algebra_bpb_4shot.test", 4, 702, 86,
     276, 4.866178},
}};

Task load_published(const Published& item) {
  const auto data = shared_data();
  return load_tasks({item.task}, {.directories = {data / "eval/common", data / "math"},
                                  .limit = 0,
                                  .shots = item.shots,
                                  .few_shot_file = data / "eval/olmes_fewshot_prefix.jsonl.zst"})
      .at(0);
}

/// The published requests as choices, in order; twins without the query left out where the task's
/// figure does not need them (they are published for every task).
std::vector<Choice> published_choices(const Published& item) {
  constexpr int64_t kFirstTwin = 1000000;
  const bool needs_twins = task_form(item.task).metric == Metric::kAccUncond;
  std::vector<Choice> choices;
  for_each_json_line(shared_data() / (std::string(item.requests) + ".jsonl.zst"),
                     [&](const nlohmann::json& row, const std::string&) {
                       const auto& request = row.at("request");
                       if (needs_twins || row.at("doc_id").get<int64_t>() < kFirstTwin) {
                         choices.push_back({request.at("context"), request.at("continuation")});
                       }
                       return true;
                     });
  return choices;
}

/// The instance with this context: the first of the published file is not always the first of ours.
Instance instance_with_context(const Task& task, const std::string& context) {
  for (const auto& instance : task.instances) {
    for (const auto& choice : instance.choices) {
      if (choice.context == context) {
        return instance;
      }
    }
  }
  ADD_FAILURE() << "no instance of " << task.name << " has this context";
  return task.instances.at(0);
}

class Olmes : public ::testing::TestWithParam<Published> {
 protected:
  void SetUp() override {
    if (!fs::exists(shared_data())) {
      GTEST_SKIP() << shared_data() << " is absent";
    }
  }
};

TEST_P(Olmes, EveryPublishedRequestIsMade) {
  const auto task = load_published(GetParam());
  std::set<std::string> ours;
  for (const auto& instance : task.instances) {
    for (const auto& choice : instance.choices) {
      ours.insert(choice.context + "|" + choice.continuation);
      if (!task.bare_context.empty()) {
        ours.insert(task.bare_context + "|" + choice.continuation);
      }
    }
  }
  const auto published = published_choices(GetParam());
  ASSERT_GT(published.size(), 10U);
  for (const auto& choice : published) {
    ASSERT_EQ(ours.count(choice.context + "|" + choice.continuation), 1U)
        << choice.context << "|" << choice.continuation;
  }
}

TEST_P(Olmes, AUniformModelScoresThePublishedBitsPerByte) {
  const auto& item = GetParam();
  auto task = load_published(item);
  task.instances = {instance_with_context(task, published_choices(item).at(0).context)};
  const auto tokenizer = Tokenizer::load(shared_data() / "tokenizer/gpt2");
  ModelConfig config;
  config.vocab_size = 50257;
  config.hidden_size = 8;
  config.intermediate_size = 8;
  config.num_hidden_layers = 1;
  config.num_attention_heads = 1;
  config.max_position_embeddings = 1024;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/1);
  {
    const at::NoGradGuard no_grad;
    model.parameters().get("head.weight").value.zero_();  // every token alike
  }
  const auto report = evaluate(model, tokenizer, {task});
  EXPECT_NEAR(report.results[0].bpb.mean, item.uniform_bpb, 1e-5);
  const auto& scored = report.results[0].instances[0];
  const auto& gold = scored.choices[static_cast<size_t>(scored.label)];
  EXPECT_EQ(gold.tokens, item.continuation_tokens);
  EXPECT_EQ(gold.characters, item.characters);
  EXPECT_EQ(gold.bytes, item.characters);
  EXPECT_FALSE(gold.context_cut);
  const auto& choice = task.instances[0].choices[static_cast<size_t>(scored.label)];
  const EncodedRequests encoded(tokenizer, {{choice.context, choice.continuation}}, 1024);
  const auto& window = encoded.windows().at(0);
  EXPECT_EQ(window.num_inputs() + 1 - window.num_scored, item.context_tokens);
}

TEST(OlmesRequests, EveryRecordedOneIsEqual) {
  if (!fs::exists(shared_data())) {
    GTEST_SKIP() << shared_data() << " is absent";
  }
  const RequestCheckOptions options{
      .data = {shared_data() / "eval/common", shared_data() / "eval/raw", shared_data() / "math"},
      .few_shot_file = shared_data() / "eval/olmes_fewshot_prefix.jsonl.zst",
      .shots = std::nullopt};
  int64_t requests = 0;
  for (const char* folder : {"eval/olmes_requests", "math/olmes_requests"}) {
    const auto checks = check_requests(shared_data() / folder, options);
    EXPECT_EQ(count_differences(checks), 0) << describe(checks);
    for (const auto& check : checks) {
      requests += check.recorded.equal;
      EXPECT_EQ(check.data.at(0).equal, check.recorded.equal) << check.file;  // the common form
    }
  }
  EXPECT_EQ(requests, 2265);
}

TEST(OlmesSampleIndices, AreThoseOfPython) {
  const auto path = shared_data() / "eval/olmes_sample_indices.json";
  if (!fs::exists(path)) {
    GTEST_SKIP() << path << " is absent";
  }
  int64_t lists = 0;
  const auto published = nlohmann::json::parse(testing::content_of(path));
  for (const auto& [name, value] : published.items()) {
    if (value.is_object()) {
      ++lists;
      const auto indices = value.at("indices").get<std::vector<int64_t>>();
      EXPECT_EQ(python_sample(1234, value.at("n"), 1000), indices) << name;
    }
  }
  EXPECT_EQ(lists, 4);
}

/// All prompts of a document and its label in one text.
std::string all_of(const Instance& instance) {
  auto text = std::to_string(instance.label);
  for (const auto& choice : instance.choices) {
    text += "\n" + choice.context + "|" + choice.continuation;
  }
  return text;
}

/// A data set's rows as they were published, with the same rows in the common form.
struct RowPair {
  const char* task;
  const char* raw;
  const char* common;
  const char* labels = "";
};
constexpr std::array<RowPair, 9> kRowPairs = {{
    {"arc_easy", "arc_easy.validation", "arc_easy.validation"},
    {"arc_challenge", "arc_challenge.validation", "arc_challenge.validation"},
    {"openbookqa", "openbookqa.validation", "openbookqa.validation"},
    {"csqa", "csqa.dev", "csqa.validation"},
    {"piqa", "piqa.valid", "piqa.validation", "eval/raw/piqa.valid-labels.lst.zst"},
    {"socialiqa", "socialiqa.dev", "socialiqa.validation"},
    {"winogrande", "winogrande.dev", "winogrande.validation"},
    {"lambada", "lambada_openai.test", "lambada.test"},
    {"hellaswag", "hellaswag.val_sample1000", "hellaswag.validation"},
}};

std::vector<std::string> read_prompts(const std::string& task, const TaskFile& file) {
  const auto form = task_form(task);
  std::vector<std::string> all;
  for (const auto& document : read_documents(form, file)) {
    all.push_back(all_of(make_instance(form.prompt, document, "")));
  }
  return all;
}

TEST(OlmesFiles, RawAndCommonRowsGiveEqualPrompts) {
  const auto data = shared_data();
  if (!fs::exists(data)) {
    GTEST_SKIP() << data << " is absent";
  }
  size_t documents = 0;
  for (const auto& pair : kRowPairs) {
    const std::string labels = pair.labels;
    const auto raw =
        read_prompts(pair.task, {.rows = data / "eval/raw" / (std::string(pair.raw) + ".jsonl.zst"),
                                 .labels = labels.empty() ? fs::path() : data / labels});
    const auto common = read_prompts(
        pair.task,
        {.rows = data / "eval/common" / (std::string(pair.common) + ".jsonl.zst"), .labels = {}});
    const std::multiset<std::string> known(common.begin(), common.end());
    for (const auto& prompts : raw) {
      ASSERT_GE(known.count(prompts), 1U) << pair.task << ": " << prompts;
    }
    documents += raw.size();
    if (std::string(pair.task) != "hellaswag") {  // of which the common file has more
      EXPECT_EQ(raw, common) << pair.task;
    }
  }
  EXPECT_EQ(documents, 6907U);
}

/// The two files of MATH hold the same documents of every subject.
TEST(OlmesFiles, BothFilesOfMathGiveEqualPrompts) {
  const auto data = shared_data() / "math";
  if (!fs::exists(data)) {
    GTEST_SKIP() << data << " is absent";
  }
  size_t documents = 0;
  for (const auto& task : expand_suites({"math"})) {
    const auto raw = read_prompts(task, {.rows = data / "MATH.test.raw.jsonl.zst", .labels = {}});
    EXPECT_EQ(raw, read_prompts(task, {.rows = data / "MATH.test.jsonl.zst", .labels = {}}));
    documents += raw.size();
  }
  EXPECT_EQ(documents, 2502U);
}

INSTANTIATE_TEST_SUITE_P(Published, Olmes, ::testing::ValuesIn(kPublished),
                         [](const auto& item) { return item.param.task; });

}  // namespace
}  // namespace loopbank
