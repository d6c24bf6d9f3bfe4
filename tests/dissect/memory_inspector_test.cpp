#include "loopbank/dissect/memory_inspector.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/dissect/memory_report.h"
#include "memory_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

class InspectMemory : public ::testing::Test {
 protected:
  MemoryReport inspect(const std::string& text, const InspectOptions& options = {}) {
    return inspect_memory(loaded_, directory_.write("t.txt", text), options);
  }

  TestDirectory directory_;
  InferenceModel loaded_{.model = testing::letter_model(50.0), .tokenizer = Tokenizer::bytes()};
};

TEST_F(InspectMemory, TellsWhatEachSlotIsFor) {
  const auto report = inspect("abcdabcdabcdabcdbb", {.num_slots = 2});
  EXPECT_EQ(report.num_tokens, 18);
  EXPECT_EQ(report.num_rows, 2);
  ASSERT_EQ(report.banks.size(), 1U);
  ASSERT_EQ(report.banks[0].slots.size(), 2U);
  const auto& slot = report.banks[0].slots.front();
  EXPECT_EQ(slot.slot, 1);  // b is the most frequent
  EXPECT_EQ(slot.tokens.front().token, "b");
  ASSERT_EQ(slot.promoted.size(), 1U);
  EXPECT_EQ(slot.promoted[0].raised.front().token, "c");
  ASSERT_TRUE(slot.zeroed.has_value());
  EXPECT_GT(slot.zeroed->cost, 0.5);
  for (const auto& context : slot.contexts) {
    EXPECT_NEAR(context.read.weight, context.token == "b" ? 1.0 : 0.0, 1e-5);
  }
  EXPECT_EQ(slot.contexts.front().token, "b");
  // The bank alone is all there is, so it stands once, zeroed and averaged; then two slots.
  ASSERT_EQ(report.ablations.size(), 4U);
  EXPECT_EQ(report.ablations[0].what, "layer0");
}

TEST_F(InspectMemory, ContextsBeginWithTheirRow) {
  const auto report = inspect("aaaabcaa", {.sequence_length = 4, .num_slots = 5, .num_top = 1});
  for (const auto& slot : report.banks[0].slots) {
    if (slot.slot == 1) {
      EXPECT_EQ(slot.contexts.front().before, "");  // b begins the second row
      EXPECT_EQ(slot.contexts.front().after.substr(0, 3), "caa");
    }
    if (slot.slot == 2) {
      EXPECT_EQ(slot.contexts.front().before, "b");
    }
  }
}

TEST_F(InspectMemory, AblationsAreThoseAskedFor) {
  InspectOptions options{.ablate_banks = false, .ablate_slots = false};
  EXPECT_TRUE(inspect("abcd", options).ablations.empty());
  options.zero = {"layer0:4", "all", "layer0:0,1", "layer0:4"};
  options.swap = {"layer0:0,1"};
  const auto report = inspect("abcd", options);
  std::vector<std::string> names;
  for (const auto& cost : report.ablations) {
    names.push_back((cost.kind == Ablation::Kind::kSwap ? "swap " : "zero ") + cost.what);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"zero layer0:4", "zero all", "zero layer0:0,1",
                                             "swap layer0:0,1"}));
}

TEST_F(InspectMemory, ProgressCountsThePasses) {
  std::vector<int64_t> done;
  (void)inspect("abcd", {.num_slots = 2, .on_progress = [&](int64_t now, int64_t total) {
                           done.push_back(now);
                           EXPECT_EQ(total, done.size() == 1 ? 1 : 5);
                         }});
  EXPECT_EQ(done, (std::vector<int64_t>{0, 1, 2, 3, 4}));
}

TEST_F(InspectMemory, MistakesAreNamed) {
  const auto message = [&](ErrorCode code, const InspectOptions& options) {
    return error_of(code, [&] { (void)inspect("abcd", options); });
  };
  expect_contains(message(ErrorCode::kConfig, {.sequence_length = 17}),
                  "expected rows of 1 to 16 tokens (max_position_embeddings), got 17");
  expect_contains(message(ErrorCode::kConfig, {.max_loops = 2}),
                  "inspect: \"max_loops\" expects a loop budget from 1 to 1, or 0 for each layer's "
                  "own N, got 2.");
  expect_contains(message(ErrorCode::kConfig, {.zero = {"global"}}), "--zero: expected a bank");
  expect_contains(message(ErrorCode::kConfig, {.swap = {"layer0:1"}}),
                  "--swap: expected two slots");
  auto config = loaded_.model.config();
  config.local_memory_slots = 0;
  InferenceModel without{.model = LanguageModel(config), .tokenizer = Tokenizer::bytes()};
  expect_contains(
      error_of(ErrorCode::kCheckpoint, [&] { (void)inspect_memory(without, "t.txt"); }),
      "expected a model with memory banks, got one with max_loops 1, local_memory_slots 0 and "
      "global_memory_slots 0");
}

TEST_F(InspectMemory, TheTableHoldsNoControlCharacters) {
  const auto report = inspect("a\x1b[31mb\tc\nd abcd");
  const auto table = format_report(report);
  for (const char c : table) {
    EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 32) << static_cast<int>(c);
  }
  expect_contains(table, "a\\x1b[31m");
  expect_contains(table, "layer0: 5 slots");
  expect_contains(table, "zero layer0 ");
}

TEST_F(InspectMemory, JsonTellsTheSame) {
  const auto report = inspect("abcdabcdabcdabcdbb", {.num_slots = 1, .num_top = 2});
  const auto json = to_json(report);
  EXPECT_NEAR(json.at("bpb").get<double>(), report.bpb, 1e-5);
  const auto& read = json.at("reads").at(0);
  EXPECT_EQ(read.at("bank"), "layer0");
  double sum = 0.0;
  for (const auto& weight : read.at("weight")) {
    sum += weight.get<double>();
  }
  EXPECT_NEAR(sum, 1.0, 1e-4);
  const auto& bank = json.at("banks").at(0);
  EXPECT_EQ(bank.at("dead"), nlohmann::json({testing::kUnread}));
  EXPECT_NEAR(bank.at("dead_share").get<double>(), 0.2, 1e-6);
  EXPECT_NEAR(bank.at("dead_below").get<double>(), 0.02, 1e-6);
  const auto& slot = bank.at("most_read").at(0);
  EXPECT_EQ(slot.at("slot"), 1);
  EXPECT_EQ(slot.at("contexts").size(), 2U);
  EXPECT_EQ(slot.at("words").at(0).at("raised").at(0).at("word"), "c");
  EXPECT_EQ(slot.at("zeroed").at("what"), "layer0:1");
}

}  // namespace
}  // namespace loopbank
