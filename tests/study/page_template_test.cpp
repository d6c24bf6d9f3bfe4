#include "loopbank/study/page_template.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "../support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using Json = nlohmann::ordered_json;

TEST(ScriptJson, NothingEndsTheElementAndTheTextIsTheSame) {
  const Json json = {{"text", "</script><!--&\xe2\x80\xa8\xe2\x80\xa9"}};
  const auto text = script_json(json);
  EXPECT_EQ(text.find_first_of("<>&"), std::string::npos) << text;
  for (const char c : text) {
    EXPECT_LT(static_cast<unsigned char>(c), 128) << text;
  }
  EXPECT_EQ(Json::parse(text), json);
}

TEST(ScriptJson, BrokenUtf8IsReplacedAndNotThrown) {
  EXPECT_EQ(Json::parse(script_json({{"a", "x\xff"}}))["a"], "x\xef\xbf\xbd");
}

TEST(FillTemplate, WhatWasPutInIsNotLookedAtAgain) {
  EXPECT_EQ(fill_template("<{{a}}|{{b}}>", {{"a", "{{b}}"}, {"b", "2"}}), "<{{b}}|2>");
}

TEST(FillTemplate, UnknownNamesAreNamed) {
  expect_contains(error_of(ErrorCode::kConfig, [] { (void)fill_template("{{a}}", {}); }),
                  "got \"a\"");
}

}  // namespace
}  // namespace loopbank
