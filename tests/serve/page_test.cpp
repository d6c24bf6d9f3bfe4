/// The server's page in Chromium, against the whole server in this process.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "../support/test_directory.h"
#include "loopbank/support/log.h"
#include "tests/serve/page_server.h"
#include "tests/serve/plain_client.h"
#include "tests/serve/web_driver.h"

namespace loopbank {
namespace {

using nlohmann::json;
using testing::kPageContext;
using testing::kPageLoops;
using testing::PageServer;
using testing::WebBrowser;

/// What the page asks for where nothing was set, but for its stream.
json body_of_page(const std::string& prompt, int64_t max_tokens) {
  return {{"prompt", prompt},   {"max_tokens", max_tokens},
          {"temperature", 0.8}, {"top_p", 0.95},
          {"seed", 1},          {"logprobs", 5},
          {"loops", "tokens"},  {"inside", true}};
}

/// One browser and one server for all.
class ServerPage : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (WebBrowser::is_installed()) {
      set_log_level(LogLevel::kQuiet);
      server_ = std::make_unique<PageServer>();
      browser_ = std::make_unique<WebBrowser>();
    }
  }
  static void TearDownTestSuite() {
    browser_.reset();
    server_.reset();
    set_log_level(LogLevel::kInfo);
  }
  void SetUp() override {
    if (!WebBrowser::is_installed()) {
      GTEST_SKIP() << "no chromedriver";
    }
    ASSERT_NE(browser_, nullptr);
    browser_->resize(1280, 900);
  }
  void TearDown() override {
    if (browser_ != nullptr) {
      EXPECT_EQ(browser_->complaints(), std::vector<std::string>());
    }
  }

  static void open(const std::string& settings) {
    browser_->open(server_->url(settings));
    ASSERT_TRUE(browser_->comes_true("document.documentElement.dataset.ready"));
  }
  static void run_to_the_end() {
    browser_->type("#prompt", std::string(WebBrowser::kControl) + std::string(WebBrowser::kEnter) +
                                  std::string(WebBrowser::kNoKey));
    ASSERT_TRUE(browser_->comes_true(
        "page.columns[0].result && !page.columns.some((one) => one.isRunning())"));
  }
  static std::string text_of(const std::string& selector) {
    return browser_->run("return document.querySelector('" + selector + "').textContent");
  }

  static std::unique_ptr<PageServer> server_;
  static std::unique_ptr<WebBrowser> browser_;
};

std::unique_ptr<PageServer> ServerPage::server_;
std::unique_ptr<WebBrowser> ServerPage::browser_;

TEST_F(ServerPage, AShownTextIsTheOneOfTheApiTokenByToken) {
  open("max_tokens=40");
  browser_->type("#prompt", "Ada lives in");
  run_to_the_end();
  const auto choice = server_->complete(body_of_page("Ada lives in", 40))["choices"][0];
  EXPECT_EQ(browser_->run("return page.columns[0].result.text"), choice["text"]);
  const auto tokens = browser_->run("return page.columns[0].view.tokens()");
  ASSERT_EQ(tokens.size(), choice["logprobs"]["tokens"].size());
  ASSERT_GT(tokens.size(), 1U);
  for (size_t i = 0; i < tokens.size(); ++i) {
    EXPECT_EQ(tokens[i]["text"], choice["logprobs"]["tokens"][i]);
    EXPECT_EQ(tokens[i]["loops"], choice["loops"]["tokens"][i]);
    EXPECT_EQ(tokens[i]["inside"], choice["inside"][i]);
  }
  const auto shown = browser_->run(
      "return [...document.querySelectorAll('#column-a .token')].map((one) => "
      "[one.textContent, Number(one.style.getPropertyValue('--heat'))])");
  ASSERT_EQ(shown.size(), tokens.size());
  for (size_t i = 0; i < shown.size(); ++i) {
    const double share = (tokens[i]["loops"].get<double>() - 1.0) / (kPageLoops - 1.0);
    EXPECT_NEAR(shown[i][1].get<double>(), share, 1e-3);
    EXPECT_FALSE(shown[i][0].get<std::string>().empty());
  }
  EXPECT_EQ(text_of("#column-a .figures .count dd"), fmt::format("{}", tokens.size()));
  EXPECT_EQ(text_of("#column-a .figures .loops dd"),
            fmt::format("{:.2f}", choice["loops"]["mean"].get<double>()));
  EXPECT_TRUE(
      browser_->comes_true("document.querySelector('#count').textContent === '12 of 2048 tokens'"))
      << text_of("#count");
}

TEST_F(ServerPage, TokensStreamInUntilEscapeStopsThem) {
  // Greedy: what is drawn may end before the key is pressed.
  open("max_tokens=2000&prompt=x&a.temperature=0");
  browser_->click("#run");
  ASSERT_TRUE(browser_->comes_true("document.querySelectorAll('.token').length >= 3"));
  browser_->press("#prompt", WebBrowser::kEscape);
  ASSERT_TRUE(browser_->comes_true("document.querySelector('.status').textContent === 'Stopped.'"));
  const auto shown = browser_->run("return document.querySelectorAll('.token').length");
  EXPECT_LT(shown.get<int>(), 2000);
  EXPECT_TRUE(
      browser_->comes_true("document.querySelector('.live-running dd').textContent === '0'"));
  EXPECT_EQ(browser_->run("return document.querySelectorAll('.token').length"), shown);
}

TEST_F(ServerPage, ATokenThatIsPointedAtShowsWhatItDid) {
  open("max_tokens=12&prompt=Ada");
  run_to_the_end();
  const auto choice = server_->complete(body_of_page("Ada", 12))["choices"][0];
  ASSERT_GT(choice["inside"].size(), 3U);
  EXPECT_EQ(browser_->run("return document.querySelectorAll('.card .layers').length"), 0);
  browser_->point_at("#tokens-1-2");
  const auto& inside = choice["inside"][2];
  ASSERT_TRUE(browser_->comes_true("document.querySelector('.card .layers')"));
  EXPECT_EQ(text_of(".card header small"), "token 3");
  EXPECT_EQ(browser_->run("return [...document.querySelectorAll('.card .layers b')].map((b) => "
                          "Number(b.textContent)).length"),
            inside["loops"].size());
  EXPECT_NEAR(std::stod(text_of(".card .layers b")), inside["loops"][0].get<double>(), 0.006);
  EXPECT_EQ(browser_->run("return document.querySelectorAll('.card .stacked i').length"),
            2 * kPageLoops);
  const auto reads = browser_->run(
      "return [...document.querySelectorAll('.card .read')].map((one) => ({name: "
      "one.querySelector('summary').textContent, slots: "
      "[...one.querySelectorAll('.slot-name')].map((slot) => "
      "slot.textContent), words: [...one.querySelectorAll('.chip')].map((word) => "
      "word.textContent)}))");
  ASSERT_EQ(reads.size(), inside["reads"].size());
  ASSERT_EQ(reads.size(), 4U);
  for (size_t i = 0; i < reads.size(); ++i) {
    const auto& read = inside["reads"][i];
    const auto bank = read["bank"].get<std::string>();
    EXPECT_EQ(reads[i]["name"], fmt::format("layer {}, {}gate {:.2f}", read["layer"].get<int>() + 1,
                                            bank, read["gate"].get<double>()));
    const auto slot = read["top"][0][0].get<int>();
    EXPECT_EQ(reads[i]["slots"].at(0), fmt::format("slot {}", slot));
    EXPECT_EQ(reads[i]["slots"].size(), read["top"].size());
    EXPECT_EQ(
        reads[i]["words"].at(0),
        fmt::format("<b>{}\u2423{}",
                    bank == "global" ? "global" : fmt::format("layer{}", read["layer"].get<int>()),
                    slot));
  }
  EXPECT_GE(
      browser_->run("return document.querySelectorAll('.card .alternative').length").get<int>(), 5);
  browser_->point_at("#run");
  EXPECT_TRUE(browser_->comes_true("document.querySelector('.card.empty')"));
}

TEST_F(ServerPage, ArrowKeysStepFromTokenToToken) {
  open("max_tokens=12&prompt=Ada");
  run_to_the_end();
  const auto press = [](std::string_view key) { browser_->press("#tokens-1", key); };
  press(WebBrowser::kRight);
  EXPECT_EQ(text_of(".card header small"), "token 1");
  press(WebBrowser::kRight);
  press(WebBrowser::kRight);
  press(WebBrowser::kLeft);
  EXPECT_EQ(text_of(".card header small"), "token 2");
  EXPECT_EQ(browser_->run("return document.activeElement.getAttribute('aria-activedescendant')"),
            "tokens-1-1");
  press(WebBrowser::kEscape);
  EXPECT_TRUE(browser_->comes_true("document.querySelector('.card.empty')"));
}

TEST_F(ServerPage, TheBudgetSliderChangesTheMeanLoops) {
  open("max_tokens=8&prompt=Ada");
  run_to_the_end();
  EXPECT_GT(std::stod(text_of("#column-a .figures .loops dd")), 1.01);
  browser_->press("#column-a [name=max_loops]", WebBrowser::kHome);
  run_to_the_end();
  EXPECT_EQ(text_of("#column-a .figures .loops dd"), "1.00");
  EXPECT_EQ(browser_->run("return location.hash"), "#prompt=Ada&max_tokens=8&a.max_loops=1");
}

TEST_F(ServerPage, TheThresholdOfARuleIsItsSlider) {
  open("max_tokens=8&prompt=Ada&a.exit=cdf%3A0.9%2Chard");
  EXPECT_EQ(text_of("#column-a output"), "0.90");
  run_to_the_end();
  const auto late = std::stod(text_of("#column-a .figures .loops dd"));
  browser_->press("#column-a [name=threshold]", WebBrowser::kHome);
  EXPECT_EQ(text_of("#column-a output"), "0.30");
  run_to_the_end();
  EXPECT_LT(std::stod(text_of("#column-a .figures .loops dd")), late);
  EXPECT_EQ(browser_->run("return page.columns[0].settings.body().exit"), "cdf:0.30,hard");
}

TEST_F(ServerPage, ThePromptsTokensAreShownWhereTheyAreAskedFor) {
  open("max_tokens=4&prompt=Ada&echo=1");
  run_to_the_end();
  EXPECT_EQ(browser_->run("return [...document.querySelectorAll('.of-prompt')].map((one) => "
                          "one.textContent).join('')"),
            "Ada");
  EXPECT_EQ(browser_->run("return page.columns[0].view.tokens()[0].logprob"), nullptr);
  EXPECT_GT(browser_->run("return page.columns[0].view.tokens()[1].loops").get<double>(), 0.9);
  EXPECT_EQ(text_of("#column-a .figures .count dd"), "4");
}

TEST_F(ServerPage, ColumnsMarkWhereTheirTextsPart) {
  open("max_tokens=30&prompt=Ada&compare=1&b.temperature=1.5");
  run_to_the_end();
  auto body = body_of_page("Ada", 30);
  const auto left = server_->complete(body)["choices"][0]["logprobs"]["tokens"];
  body["temperature"] = 1.5;
  const auto right = server_->complete(body)["choices"][0]["logprobs"]["tokens"];
  size_t first = 0;
  while (first < std::min(left.size(), right.size()) && left[first] == right[first]) {
    ++first;
  }
  ASSERT_LT(first, std::min(left.size(), right.size()));
  EXPECT_EQ(browser_->run(
                "return [...document.querySelectorAll('.first-difference')].map((one) => one.id)"),
            (json{fmt::format("tokens-1-{}", first), fmt::format("tokens-2-{}", first)}));
  EXPECT_GT(
      browser_->run("return document.querySelectorAll('#column-b .differs').length").get<int>(), 0);
  EXPECT_EQ(text_of("#parting"), fmt::format("The texts part at token {}.", first + 1));
  EXPECT_GT(std::stod(text_of("#column-b .figures .speed dd")), 0.0);
  browser_->click("#compare");
  EXPECT_EQ(browser_->run("return document.querySelectorAll('.first-difference').length"), 0);
}

TEST_F(ServerPage, DifferencesAreWhatALongestCommonSubsequenceLeavesOut) {
  open("");
  const auto of = [](const std::string& a, const std::string& b) {
    return browser_->run(fmt::format("return compare.differences([...'{}'], [...'{}'])", a, b));
  };
  EXPECT_EQ(of("abcd", "axcd"), (json{{"first", 1}, {"left", {1}}, {"right", {1}}}));
  EXPECT_EQ(of("abcdef", "abxycdef"),
            (json{{"first", 2}, {"left", json::array()}, {"right", {2, 3}}}));
  EXPECT_EQ(of("abc", "ab")["first"], -1);
  EXPECT_EQ(of("", "")["first"], -1);
}

TEST_F(ServerPage, AnErrorStandsAtTheFieldThatItIsAbout) {
  open("max_tokens=4&prompt=Ada&a.temperature=-1");
  run_to_the_end();
  const auto wrong = text_of("#column-a .marked .wrong");
  testing::expect_contains(wrong, "temperature");
  EXPECT_EQ(browser_->run("return document.querySelector('#column-a [aria-invalid]').name"),
            "temperature");
  open("max_tokens=4&prompt=" + std::string(kPageContext + 1, 'a'));
  EXPECT_TRUE(
      browser_->comes_true("document.querySelector('#prompt').getAttribute('aria-invalid')"));
  testing::expect_contains(text_of("#prompt-wrong"), "2049 tokens");
  run_to_the_end();
  testing::expect_contains(text_of("#prompt-wrong"), "2049");
  EXPECT_EQ(browser_->run("return document.querySelectorAll('.token').length"), 0);
}

TEST_F(ServerPage, AContextThatIsFullSaysSo) {
  open("max_tokens=4000&a.temperature=0&prompt=" + std::string(kPageContext - 4, 'a'));
  run_to_the_end();
  const auto status = text_of("#column-a .status");
  EXPECT_EQ(status, "The context of 2048 tokens is full: shorten the prompt to read on.");
}

TEST_F(ServerPage, AKeyIsAskedForWhereTheServerWantsOne) {
  ServerOptions options;
  options.api_keys = {"right-key"};
  const PageServer guarded(options);
  browser_->open(guarded.url("max_tokens=4&prompt=Ada"));
  ASSERT_TRUE(browser_->comes_true("!document.querySelector('#key-form').hidden"));
  browser_->type("#key", "wrong" + std::string(WebBrowser::kEnter));
  ASSERT_TRUE(browser_->comes_true(
      "document.querySelector('#key-wrong').textContent === 'The server refused this key.'"));
  browser_->run("document.querySelector('#key').value = ''");
  browser_->type("#key", "right-key" + std::string(WebBrowser::kEnter));
  ASSERT_TRUE(browser_->comes_true("document.documentElement.dataset.ready"));
  run_to_the_end();
  EXPECT_GT(browser_->run("return document.querySelectorAll('.token').length").get<int>(), 0);
}

TEST_F(ServerPage, AServerThatGoesIsToldOfInPlace) {
  PageServer leaving;
  browser_->open(leaving.url("max_tokens=4&prompt=Ada"));
  ASSERT_TRUE(browser_->comes_true("document.documentElement.dataset.ready"));
  run_to_the_end();
  leaving.stop();
  ASSERT_TRUE(browser_->comes_true("!document.querySelector('#notice').hidden"));
  testing::expect_contains(text_of("#notice"), "The server does not answer.");
  browser_->click("#run");
  ASSERT_TRUE(browser_->comes_true("!document.querySelector('#column-a .notice').hidden"));
  testing::expect_contains(text_of("#column-a .notice"), "Trying again in ");
  browser_->click("#stop");
  EXPECT_TRUE(browser_->comes_true("document.querySelector('.status').textContent === 'Stopped.'"));
}

TEST_F(ServerPage, AFullQueueIsTriedAgain) {
  ServerOptions options;
  options.scheduler.max_requests = 1;
  PageServer busy(options);
  browser_->open(busy.url("max_tokens=4&prompt=Ada"));
  ASSERT_TRUE(browser_->comes_true("document.documentElement.dataset.ready"));
  HttpSocket other(busy.port());
  const json endless = {
      {"prompt", "x"}, {"max_tokens", 2000}, {"stream", true}, {"logit_bias", {{"256", -100}}}};
  other.send(testing::PlainRequest{
      .method = "POST", .path = "/v1/completions", .body = endless.dump(), .headers = {}}
                 .text());
  ASSERT_TRUE(other.read_until("data: "));
  browser_->click("#run");
  ASSERT_TRUE(browser_->comes_true("!document.querySelector('#column-a .notice').hidden"));
  testing::expect_contains(text_of("#column-a .notice"), "Trying again in ");
  other.close();
  EXPECT_TRUE(browser_->comes_true("document.querySelectorAll('.token').length > 0"));
  EXPECT_EQ(text_of("#column-a .notice"), "");
}

TEST_F(ServerPage, NothingStandsOutToTheRightOfAPhone) {
  for (const char* settings : {"prompt=Ada&max_tokens=30",
                               "prompt=Ada&max_tokens=30&compare=1&a.exit=cdf%3A0.9&top_k=5"}) {
    open(settings);
    browser_->resize(390, 844);
    run_to_the_end();
    browser_->press("#tokens-1", WebBrowser::kEnd);
    EXPECT_EQ(browser_->run("return document.documentElement.scrollWidth"), 390);
    EXPECT_EQ(
        browser_->run(
            "return [...document.querySelectorAll('main *')].filter((one) => "
            "one.getBoundingClientRect().right > 391).map((one) => one.className || one.tagName)"),
        json::array());
  }
}

}  // namespace
}  // namespace loopbank
