#include "loopbank/serve/slot_texts.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../support/test_directory.h"
#include "loopbank/support/log.h"

namespace loopbank {
namespace {

using nlohmann::ordered_json;
using testing::expect_contains;
using testing::TestDirectory;

/// As `loopbank inspect --out` writes it, of what is read here.
ordered_json report_of_slots(const std::string& bank, int64_t slots) {
  const ordered_json slot = {{"slot", 3},
                             {"tokens",
                              {{{"token", " born"}},
                               {{"token", "a"}},
                               {{"token", "b"}},
                               {{"token", "c"}},
                               {{"token", "d"}},
                               {{"token", "e"}}}},
                             {"contexts",
                              {{{"before", "x\u00e9" + std::string(29, 'y')},
                                {"token", " born"},
                                {"after", std::string(19, 'z') + "\u00e9"}}}}};
  const ordered_json unread = {
      {"slot", 5}, {"tokens", ordered_json::array()}, {"contexts", ordered_json::array()}};
  return {{"banks", {{{"bank", bank}, {"slots", slots}, {"most_read", {slot, unread}}}}}};
}

/// /slots.json of a model of 2 layers with 8 local and 4 global slots, and what was warned of.
std::optional<std::string> texts_beside(const std::string* memory, std::string& warnings) {
  const TestDirectory directory;
  if (memory != nullptr) {
    directory.write("memory.json", *memory);
  }
  ModelConfig config;
  config.vocab_size = 257;
  config.hidden_size = 16;
  config.intermediate_size = 32;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 2;
  config.max_loops = 2;
  config.local_memory_slots = 8;
  config.global_memory_slots = 4;
  const LanguageModel model(config);
  const auto tokenizer = Tokenizer::bytes();
  ::testing::internal::CaptureStderr();
  auto texts = read_slot_texts(
      {.model = model, .tokenizer = tokenizer, .id = "tiny", .directory = directory.path()});
  warnings = ::testing::internal::GetCapturedStderr();
  return texts;
}

TEST(SlotTexts, AreTheReportCutDownToWholeCharacters) {
  const auto memory = report_of_slots("layer1", 8).dump();
  std::string warnings;
  const auto texts = texts_beside(&memory, warnings);
  ASSERT_TRUE(texts) << warnings;
  const ordered_json slot = {{"tokens", {" born", "a", "b", "c", "d"}},
                             {"context", {std::string(29, 'y'), " born", std::string(19, 'z')}}};
  EXPECT_EQ(ordered_json::parse(*texts),
            (ordered_json{{"layer1", {{"3", slot}, {"5", {{"tokens", ordered_json::array()}}}}}}));
  EXPECT_EQ(warnings, "");
}

TEST(SlotTexts, WithoutAReportThereAreNoneAndNoWarning) {
  std::string warnings;
  EXPECT_FALSE(texts_beside(nullptr, warnings));
  EXPECT_EQ(warnings, "");
}

TEST(SlotTexts, AReportOfAnotherModelOrABrokenOneIsOneWarning) {
  for (const auto& [memory, words] :
       {std::pair(report_of_slots("layer1", 9).dump(), "layer1 has 8 slots here, got 9"),
        std::pair(report_of_slots("layer2", 8).dump(), "layer2 has 0 slots here, got 8"),
        std::pair(std::string("{\"banks\": ["), "memory.json:1:"),
        std::pair(std::string("{\"banks\": [{\"bank\": 3}]}"), "\"bank\" expects")}) {
    std::string warnings;
    EXPECT_FALSE(texts_beside(&memory, warnings)) << memory;
    expect_contains(warnings, words);
    expect_contains(warnings, "loopbank inspect ");
    EXPECT_EQ(std::count(warnings.begin(), warnings.end(), '\n'), 1) << warnings;
  }
}

}  // namespace
}  // namespace loopbank
