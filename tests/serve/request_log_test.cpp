#include "loopbank/serve/request_log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace loopbank {
namespace {

RequestRecord completion_record() {
  RequestRecord record{.id = "0123abcd",
                       .method = "POST",
                       .path = "/v1/completions",
                       .peer = "127.0.0.1",
                       .status = 200,
                       .seconds = 0.3124,
                       .first_token_seconds = 0.04};
  record.usage = CompletionUsage{.prompt_tokens = 12, .completion_tokens = 16, .loops_mean = 2.314};
  return record;
}

TEST(RequestLog, TellsTokensLoopsMillisecondsAndStatusInOneLine) {
  EXPECT_EQ(format_record(completion_record(), RequestLogForm::kText),
            "POST /v1/completions 200 312 ms, first token 40 ms, 12 + 16 tokens, 2.31 loops, from "
            "127.0.0.1, id 0123abcd");
}

TEST(RequestLog, WhatAClientWroteStaysOneLineWithoutControlCharacters) {
  auto record = completion_record();
  record.path = "/x\n\x1b[2Jy";
  record.prompts = {"two\nlines \x07"};
  for (const auto form : {RequestLogForm::kText, RequestLogForm::kJson}) {
    const auto line = format_record(record, form);
    for (const char c : line) {
      EXPECT_GE(static_cast<unsigned char>(c), 0x20) << line;
    }
  }
}

TEST(RequestLog, AsJsonHasTheSameByName) {
  const auto read =
      nlohmann::json::parse(format_record(completion_record(), RequestLogForm::kJson));
  EXPECT_EQ(read["id"], "0123abcd");
  EXPECT_EQ(read["status"], 200);
  EXPECT_EQ(read["completion_tokens"], 16);
  EXPECT_NEAR(read["milliseconds"].get<double>(), 312.4, 1e-9);
  EXPECT_EQ(read["time"].get<std::string>().size(), 24U);
  EXPECT_FALSE(read.contains("prompts"));
}

}  // namespace
}  // namespace loopbank
