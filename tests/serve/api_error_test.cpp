#include "loopbank/serve/http/api_error.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace loopbank {
namespace {

TEST(ApiErrorTest, HasTheFourKeysOfOpenAiAndNullsForWhatThereIsNot) {
  const auto json = nlohmann::json::parse(
      error_body(ApiError(400, "completions: \"n\" expects a number.", "n", "bad_value")));
  EXPECT_EQ(json, (nlohmann::json{{"error",
                                   {{"message", "completions: \"n\" expects a number."},
                                    {"type", "invalid_request_error"},
                                    {"param", "n"},
                                    {"code", "bad_value"}}}}));
  EXPECT_TRUE(nlohmann::json::parse(error_body(ApiError(500, "x")))["error"]["param"].is_null());
}

TEST(ApiErrorTest, ABusyServerSaysWhenToComeAgain) {
  ApiError error(429, "full");
  error.retry_after = 2;
  const auto response = error_response(error);
  EXPECT_EQ(response.status, 429);
  ASSERT_EQ(response.headers.size(), 1U);
  EXPECT_EQ(response.headers.front(), (std::pair<std::string, std::string>("Retry-After", "2")));
}

}  // namespace
}  // namespace loopbank
