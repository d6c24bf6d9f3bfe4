/// The documentation's curl examples, run as they stand, and facts of the API that curl alone shows.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "fixtures.h"
#include "loopbank/support/files.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

/// The documents whose examples are run.
const std::vector<std::string> kDocuments = {"README.md", "docs/serving.md"};

/// Before each example: an answer of status 400 or more ends the script, and each answer is kept in a
/// file of its own.
constexpr const char* kPreamble = R"sh(set -euo pipefail
curl() {
  command curl --silent --show-error --fail-with-body --max-time 20 "$@" | tee "$(mktemp -p answers)"
}
)sh";

/// Fenced blocks of a document, and the language that each names.
std::vector<std::pair<std::string, std::string>> fenced_blocks(const std::string& text) {
  std::vector<std::pair<std::string, std::string>> blocks;
  bool inside = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) {
        blocks.emplace_back(line.substr(3), "");
      }
    } else if (inside) {
      blocks.back().second += line + "\n";
    }
  }
  return blocks;
}

/// All blocks of the documents in which a line begins with `curl`. Other commands stay out.
std::vector<std::string> curl_examples() {
  std::vector<std::string> examples;
  for (const auto& document : kDocuments) {
    const auto path = std::filesystem::path(LOOPBANK_SOURCE_DIR) / document;
    if (!std::filesystem::exists(path)) {
      continue;
    }
    for (const auto& [language, block] : fenced_blocks(read_file(path))) {
      if (std::regex_search("\n" + block, std::regex("\ncurl "))) {
        examples.push_back(
            std::regex_replace(block, std::regex("(^|\n)(loopbank|build/release)[^\n]*"), "$1"));
      }
    }
  }
  return examples;
}

/// The first template of a chat that the documents show; empty: none.
std::string shown_chat_template() {
  for (const auto& document : kDocuments) {
    const auto path = std::filesystem::path(LOOPBANK_SOURCE_DIR) / document;
    if (std::filesystem::exists(path)) {
      for (const auto& [language, block] : fenced_blocks(read_file(path))) {
        if (language == "toml" && block.find("[chat]") != std::string::npos) {
          return block;
        }
      }
    }
  }
  return "";
}

/// Whether curl printed what the server's paths answer with: JSON without an error, a stream to its
/// end, metrics, or a page.
::testing::AssertionResult is_answer(std::string text) {
  if (text.starts_with("HTTP/")) {  // curl -i
    text = text.substr(text.find("\r\n\r\n") + 4);
  }
  if (text.starts_with("data: ")) {
    return text.ends_with("data: [DONE]\n\n") ? ::testing::AssertionSuccess()
                                              : ::testing::AssertionFailure() << "cut: " << text;
  }
  if (text.starts_with("# HELP ") || text.starts_with("<!")) {
    return ::testing::AssertionSuccess();
  }
  const auto json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || json.contains("error")) {
    return ::testing::AssertionFailure() << text;
  }
  return ::testing::AssertionSuccess();
}

/// One server for all tests of the suite.
class ServeExamples : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TestDirectory;
    const auto model = directory_->path() / "model";
    write_model(model);
    // Angles need no weights: the same model reads longer prompts.
    replace_in_file(model / "config.json", "\"max_position_embeddings\": 32",
                    "\"max_position_embeddings\": 1024");
    if (const auto chat = shown_chat_template(); !chat.empty()) {
      write_text(model / "chat.toml", chat);
    }
    std::filesystem::create_directories(directory_->path() / "answers");
    server_ = start_program({"serve", model, "--port", "0"}, directory_->path(), "serve");
    ASSERT_GT(server_, 0);
    ASSERT_NO_FATAL_FAILURE(wait_until_served());
  }

  static void TearDownTestSuite() {
    int status = 0;
    if (server_ > 0) {
      ::kill(server_, SIGTERM);
      ::waitpid(server_, &status, 0);
      EXPECT_EQ(status, 0) << read_file(directory_->path() / "serve.err");
    }
    delete directory_;
  }

  static void wait_until_served() {
    const auto log = directory_->path() / "serve.err";
    const std::regex told("serving .* at (http://127\\.0\\.0\\.1:[0-9]+)");
    const auto end = std::chrono::steady_clock::now() + 60s;
    for (std::smatch found; std::chrono::steady_clock::now() < end;) {
      const auto text = std::filesystem::exists(log) ? read_file(log) : "";
      if (std::regex_search(text, found, told)) {
        address_ = found[1];
        return;
      }
      int status = 0;
      if (::waitpid(server_, &status, WNOHANG) == server_) {
        server_ = 0;
        FAIL() << "the server ended: " << text;
      }
      std::this_thread::sleep_for(5ms);
    }
    FAIL() << "the server told no address in a minute";
  }

  /// Runs lines of a shell in which http://127.0.0.1:8080 is the server.
  static ProgramResult shell(const std::string& lines) {
    static const std::regex address("http://(localhost|127\\.0\\.0\\.1)(:[0-9]+)?");
    return run_command({"/bin/bash", "-c", std::regex_replace(lines, address, address_)}, "",
                       directory_->path());
  }

  /// What curl prints for a path and a body; an empty body asks by GET.
  static std::string ask(const std::string& path, const std::string& body = "") {
    const auto data = body.empty() ? "" : " --data-binary '" + body + "'";
    return shell("curl --silent --max-time 20 http://localhost" + path + data).out;
  }

  /// The same with the status behind it.
  static std::pair<int, Json> status_of(const std::string& path, const std::string& body) {
    const auto text = ask(path + " --write-out '\\n%{http_code}'", body);
    const auto line = text.rfind('\n');
    return {std::stoi(text.substr(line + 1)), Json::parse(text.substr(0, line))};
  }

  static TestDirectory* directory_;
  static pid_t server_;
  static std::string address_;
};

TestDirectory* ServeExamples::directory_ = nullptr;
pid_t ServeExamples::server_ = 0;
std::string ServeExamples::address_;

TEST_F(ServeExamples, OfTheDocumentsGiveAnswers) {
  const auto examples = curl_examples();
  ASSERT_GE(examples.size(), 1U) << "neither README.md nor docs/serving.md shows one";
  for (const auto& example : examples) {
    const auto answers = directory_->path() / "answers";
    std::filesystem::remove_all(answers);
    std::filesystem::create_directories(answers);
    const auto result = shell(kPreamble + example);
    EXPECT_EQ(result.status, 0) << example << result.out << result.err;
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(answers)) {
      EXPECT_TRUE(is_answer(read_file(entry.path()))) << example;
      ++count;
    }
    EXPECT_GE(count, 1U) << example;
  }
}

TEST_F(ServeExamples, EchoTellsEveryTokenOfThePrompt) {
  for (const int max_tokens : {0, 1}) {
    for (const char* end_bias : {"0", "100"}) {  // the second: the text ends at once
      const auto answer = Json::parse(ask(
          "/v1/completions",
          R"({"prompt": [72, 195, 169, 33], "echo": true, "logprobs": 1, "temperature": 0, "max_tokens": )" +
              std::to_string(max_tokens) + R"(, "logit_bias": {"256": )" + end_bias + "}}"));
      const auto& logprobs = answer["choices"][0]["logprobs"];
      for (const char* part : {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
        EXPECT_EQ(logprobs[part].size(), 4U + max_tokens) << part << " " << answer;
      }
      EXPECT_TRUE(logprobs["token_logprobs"][0].is_null() && logprobs["top_logprobs"][0].is_null())
          << answer;
    }
  }
}

TEST_F(ServeExamples, AStreamEndsWithItsUsage) {
  const auto text =
      ask("/v1/completions",
          R"({"prompt": "A", "max_tokens": 5, "stream": true, "logit_bias": {"256": -100},
                            "stream_options": {"include_usage": true}})");
  ASSERT_TRUE(text.ends_with("data: [DONE]\n\n")) << text;
  std::vector<Json> events;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("data: {")) {
      events.push_back(Json::parse(line.substr(6)));
    }
  }
  ASSERT_GE(events.size(), 3U) << text;
  EXPECT_EQ(events.back()["usage"]["completion_tokens"], 5) << text;
  EXPECT_TRUE(events.back()["choices"].empty()) << text;
  EXPECT_EQ(events[events.size() - 2]["choices"][0]["finish_reason"], "length") << text;
}

TEST_F(ServeExamples, ErrorsNameTheFieldAndTheNearest) {
  const auto [unknown, mistake] =
      status_of("/v1/completions", R"({"prompt": "A", "max_token": 1})");
  EXPECT_EQ(unknown, 400);
  EXPECT_EQ(mistake["error"]["code"], "unknown_field") << mistake;
  EXPECT_EQ(mistake["error"]["param"], "max_token") << mistake;
  EXPECT_NE(mistake["error"]["message"].get<std::string>().find("max_tokens"), std::string::npos);
  const auto [other, absent] = status_of("/v1/completions", R"({"prompt": "A", "model": "gpt-4"})");
  EXPECT_EQ(other, 404);
  EXPECT_EQ(absent["error"]["code"], "model_not_found") << absent;
  EXPECT_EQ(status_of("/v1/completions", R"({"prompt": "A", "max_loops": 3})").first, 422);
  EXPECT_EQ(status_of("/tokenize", "{").first, 400);
}

TEST_F(ServeExamples, EveryAnswerHasItsRequestId) {
  for (const char* path : {"/health", "/v1/models", "/nothing"}) {
    const auto head = ask(std::string(path) + " --dump-header - --output /dev/null");
    EXPECT_TRUE(std::regex_search(head, std::regex("x-request-id: \\S+", std::regex::icase)))
        << head;
  }
}

TEST_F(ServeExamples, TokensGoThereAndBack) {
  const auto tokens = Json::parse(ask("/tokenize", R"({"prompt": "h\u00e9!"})"));
  EXPECT_EQ(tokens["tokens"], Json::array({104, 195, 169, 33})) << tokens;
  const auto text = Json::parse(ask("/detokenize", R"({"tokens": [104, 195, 169, 33]})"));
  EXPECT_EQ(text["prompt"], "h\u00e9!") << text;
}

}  // namespace
}  // namespace loopbank::testing
