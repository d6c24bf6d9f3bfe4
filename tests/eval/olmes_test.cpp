/// The prompts and the figures that OLMES publishes. Skipped where ../shared/data is absent.

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "loopbank/eval/evaluate.h"
#include "loopbank/eval/json_lines.h"
#include "loopbank/eval/task_files.h"
#include "tests/eval/bigram_model.h"

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
Instance instance_of(const Task& task, const std::string& context) {
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
  task.instances = {instance_of(task, published_choices(item).at(0).context)};
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

INSTANTIATE_TEST_SUITE_P(Published, Olmes, ::testing::ValuesIn(kPublished),
                         [](const auto& item) { return item.param.task; });

}  // namespace
}  // namespace loopbank
