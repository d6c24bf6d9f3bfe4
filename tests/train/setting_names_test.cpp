/// The table of other programs' names (support/setting_names.h) against the settings that there are.

#include "loopbank/support/setting_names.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "loopbank/support/error.h"
#include "loopbank/train/run_config.h"

namespace loopbank {
namespace {

TEST(SettingNames, OurNamesExistAndTheirsAreNoneOfOurs) {
  RunConfig config;
  std::set<std::string> ours;
  std::set<std::string> keys;
  for (const auto& section : config.sections()) {
    for (const auto& field : section.fields) {
      ours.insert(section.name + "." + field.name);
      keys.insert(field.name);
    }
  }
  std::set<std::string> seen;
  for (const auto& [name, theirs] : other_names()) {
    EXPECT_TRUE(name.empty() || ours.contains(name)) << name;
    EXPECT_FALSE(keys.contains(theirs)) << theirs;
    EXPECT_FALSE(ours.contains(theirs)) << theirs;
    EXPECT_TRUE(seen.insert(theirs).second) << theirs << " stands twice";
  }
  EXPECT_GT(seen.size(), 200U);
}

TEST(SettingNames, AFlagThatIsASettingIsToldByItsFullName) {
  RunConfig config;
  const auto sections = config.sections();
  EXPECT_EQ(setting_meant("steps", sections), "training.steps");
  EXPECT_EQ(setting_meant("learning-rate", sections), "schedule.peak_rate");
  EXPECT_EQ(setting_meant("max_loops", sections), std::nullopt);  // of [model] or of [evaluation]
  EXPECT_EQ(setting_meant("dropout", sections), std::nullopt);    // of none
  EXPECT_EQ(setting_meant("qwertz", sections), std::nullopt);
}

TEST(SettingNames, KeysOfOtherConfigFilesAreAnsweredWithOurs) {
  ModelConfig config;
  EXPECT_EQ(model_key_hint("n_embd", config.fields()), " Here it is called \"hidden_size\".");
  EXPECT_EQ(model_key_hint("mlp_ratio", config.fields()),
            " Here it is called \"intermediate_size\", the width and not its ratio.");
  EXPECT_EQ(model_key_hint("hidden_sise", config.fields()), " Did you mean \"hidden_size\"?");
  int64_t people = 8;
  EXPECT_EQ(model_key_hint("n_embd", {Field("people", &people, "of the world")}),
            " Known: people.");
}

}  // namespace
}  // namespace loopbank
