#pragma once
/// A whole server with a page and a small model with memory, for tests in a browser.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "../support/test_directory.h"
#include "loopbank/serve/server.h"
#include "tests/serve/plain_client.h"

namespace loopbank::testing {

inline constexpr int64_t kPageContext = 2048;
inline constexpr int64_t kPageLoops = 3;
inline constexpr int64_t kPageSlots = 8;

inline ModelConfig page_config() {
  ModelConfig config;
  config.vocab_size = 257;
  config.hidden_size = 16;
  config.intermediate_size = 32;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 2;
  config.max_position_embeddings = kPageContext;
  config.max_loops = kPageLoops;
  config.local_memory_slots = kPageSlots;
  config.global_memory_slots = kPageSlots;
  return config;
}

/// The inspector's report, in which every slot has a text of its own.
inline std::string report_of_page_slots() {
  auto banks = nlohmann::json::array();
  for (const char* bank : {"layer0", "layer1", "global"}) {
    auto slots = nlohmann::json::array();
    for (int64_t slot = 0; slot < kPageSlots; ++slot) {
      slots.push_back({{"slot", slot},
                       {"tokens", {{{"token", fmt::format("<b>{} {}", bank, slot)}}}},
                       {"contexts", nlohmann::json::array()}});
    }
    banks.push_back({{"bank", bank}, {"slots", kPageSlots}, {"most_read", slots}});
  }
  return nlohmann::json{{"banks", banks}}.dump();
}

/// Random weights on a free port.
class PageServer {
 public:
  explicit PageServer(ServerOptions options = {}) : model_(page_config()) {
    model_.parameters().initialize(3);
    directory_.write("memory.json", report_of_page_slots());
    options.http.port = 0;
    server_ = std::make_unique<Server>(
        ServedModel{
            .model = model_, .tokenizer = tokenizer_, .id = "tiny", .directory = directory_.path()},
        options);
    server_->start();
    url_ = server_->url() + "/";
  }
  void stop() { server_.reset(); }
  [[nodiscard]] int64_t port() const { return server_->port(); }
  /// Of the page, with settings as a link carries them.
  [[nodiscard]] std::string url(const std::string& settings = "") const {
    return url_ + (settings.empty() ? "" : "#" + settings);
  }
  [[nodiscard]] nlohmann::json complete(const nlohmann::json& body) const {
    const auto answer =
        ask(server_->port(), {.method = "POST", .path = "/v1/completions", .body = body.dump()});
    EXPECT_EQ(answer.status, 200) << answer.body;
    return nlohmann::json::parse(answer.body);
  }

 private:
  TestDirectory directory_;
  LanguageModel model_;
  Tokenizer tokenizer_ = Tokenizer::bytes();
  std::unique_ptr<Server> server_;
  std::string url_;
};

}  // namespace loopbank::testing
