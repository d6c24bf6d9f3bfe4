#include "loopbank/support/setting_places.h"

#include <gtest/gtest.h>

#include <string>

#include "loopbank/support/error.h"
#include "loopbank/support/settings.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

struct Pair {
  int64_t parts = 2;
  int64_t whole = 6;
  int64_t width = 8;
  std::vector<Section> sections() {
    return {{"pair", {{"parts", &parts, "a divisor"}, {"whole", &whole, "a sum"}}},
            {"other", {{"width", &width, "a width"}}}};
  }
};

/// The message that a check of the settings ends with.
std::string message_of(const std::string& file, const std::vector<std::string>& overrides,
                       const std::string& failure) {
  Pair pair;
  const auto sections = pair.sections();
  const auto places = read_toml_text(file, "pair.toml", overrides, sections);
  return testing::error_of(ErrorCode::kConfig, [&] {
    check_together(places, sections, "pair.toml", [&] { fail(ErrorCode::kConfig, "{}", failure); });
  });
}

constexpr const char* kFailure = R"(pair: "parts" expects a divisor of "whole" (6), got 4.)";

TEST(SettingPlaces, TheFirstSettingThatWasOverriddenIsNamed) {
  const std::string file = "[pair]\nparts = 4\nwhole = 6\n";
  EXPECT_EQ(message_of(file, {}, kFailure),
            R"(pair.toml:2: "parts" expects a divisor of "whole" (6), got 4.)");
  EXPECT_EQ(
      message_of(file, {"pair.whole=6"}, kFailure),
      "--set pair.whole=6: \"parts\" (pair.toml:2) expects a divisor of \"whole\" (6), got 4.");
  EXPECT_EQ(message_of(file, {"pair.whole=6", "pair.parts=4"}, kFailure),
            R"(--set pair.parts=4: "parts" expects a divisor of "whole" (6), got 4.)");
  EXPECT_EQ(message_of(file, {"pair.parts=3", "pair.parts=4"}, kFailure),
            R"(--set pair.parts=4: "parts" expects a divisor of "whole" (6), got 4.)");
}

TEST(SettingPlaces, ASettingOfAnotherSectionIsFoundToo) {
  EXPECT_EQ(message_of("[pair]\nparts = 4\n", {"other.width=3"},
                       "pair: \"parts\" expects at most \"width\" (3), got 4."),
            "--set other.width=3: \"parts\" (pair.toml:2) expects at most \"width\" (3), got 4.");
}

TEST(SettingPlaces, WhatHasNoPlaceKeepsItsSection) {
  EXPECT_EQ(message_of("", {}, kFailure), std::string("pair.toml: ") + kFailure);
  EXPECT_EQ(message_of("", {"other.width=3"}, kFailure), std::string("pair.toml: ") + kFailure);
  EXPECT_EQ(message_of("", {"pair.whole=6"}, kFailure),
            R"(--set pair.whole=6: "parts" expects a divisor of "whole" (6), got 4.)");
  EXPECT_EQ(message_of("[pair]\nparts = 4\n", {}, "nowhere: \"parts\" is wrong."),
            "pair.toml: nowhere: \"parts\" is wrong.");
  EXPECT_EQ(message_of("[pair]\nparts = 4\n", {}, "pair: an open \"quote."),
            "pair.toml: pair: an open \"quote.");
}

TEST(SettingPlaces, AMessageMayBeginWithOneSetting) {
  EXPECT_EQ(message_of("", {"other.width=3"}, "other.width: expected room, got none."),
            "--set other.width=3: expected room, got none.");
  EXPECT_EQ(message_of("[other]\nwidth = 3\n", {}, "other.width: expected room, got none."),
            "pair.toml:2: other.width: expected room, got none.");
  EXPECT_EQ(message_of("", {}, "other.width: expected room, got none."),
            "pair.toml: other.width: expected room, got none.");
}

TEST(SettingPlaces, SettingsOfAnotherSourceNameIt) {
  Pair pair;
  EXPECT_EQ(testing::error_of(
                ErrorCode::kConfig,
                [&] { apply_settings({"pair.parts=x"}, "own.toml:3: set", pair.sections()); }),
            "own.toml:3: set pair.parts=x: \"parts\" expects a whole number, got \"x\".");
}

}  // namespace
}  // namespace loopbank
