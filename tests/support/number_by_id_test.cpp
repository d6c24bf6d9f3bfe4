#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/support/settings.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;

TEST(NumberById, IsReadCheckedAndComesBack) {
  NumberById bias;
  const std::vector<Section> sections = {
      {"s", {Field("bias", &bias, "a bias").range(-100.0, 100.0)}}};
  const auto& fields = sections.front().fields;
  read_json(nlohmann::json::parse(R"({"bias": {"7": 1.5, "12": -100}})"), fields, "r");
  EXPECT_EQ(bias, (NumberById{{7, 1.5}, {12, -100.0}}));
  EXPECT_EQ(write_json(fields).dump(), R"({"bias":{"7":1.5,"12":-100.0}})");
  const auto toml = write_toml(sections);
  bias.clear();
  read_toml_text(toml, "t", {}, sections);
  EXPECT_EQ(bias, (NumberById{{7, 1.5}, {12, -100.0}}));
  for (const auto* value :
       {R"({"x": 1})", R"({"-1": 1})", R"({"01": 1})", R"({"1": "a"})", "[1]", R"({"1": 101})"}) {
    const auto error = error_of(ErrorCode::kConfig, [&] {
      read_json({{"bias", nlohmann::json::parse(value)}}, fields, "r");
    });
    EXPECT_TRUE(
        error.starts_with("r: \"bias\" expects ids of 0 or more, each with a number from "
                          "-100 to 100, got "))
        << error;
  }
}

}  // namespace
}  // namespace loopbank
