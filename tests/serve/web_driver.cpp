#include "tests/serve/web_driver.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <thread>

namespace loopbank::testing {
namespace {

using nlohmann::json;

constexpr const char* kDriver = "/usr/bin/chromedriver";
constexpr const char* kElementKey = "element-6066-11e4-a52e-4f735466cecf";  // W3C WebDriver, 11

/// The flags of scripts/screenshot.
json capabilities() {
  return {{"goog:chromeOptions",
           {{"args",
             {"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
              "--hide-scrollbars", "--disable-background-networking", "--disable-component-update",
              "--disable-sync", "--disable-dev-shm-usage"}}}},
          {"goog:loggingPrefs", {{"browser", "ALL"}}}};
}

/// Starts ChromeDriver on a port of its choice. @return its process; `output` becomes its stdout
pid_t start_driver(int& output) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw std::runtime_error("no pipe for ChromeDriver");
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::string program = kDriver;
  std::string port = "--port=0";
  std::array<char*, 3> arguments{program.data(), port.data(), nullptr};
  pid_t process = -1;
  const int failed = ::posix_spawn(&process, kDriver, &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  output = ends[0];
  if (failed != 0) {
    throw std::runtime_error("ChromeDriver does not start");
  }
  return process;
}

/// Reads what ChromeDriver says up to the port that it listens at.
int64_t read_port(int output) {
  constexpr std::string_view kWords = "started successfully on port ";
  std::string said;
  std::array<char, 512> bytes{};
  while (true) {
    const auto found = said.find(kWords);
    if (found != std::string::npos && said.find('.', found) != std::string::npos) {
      return std::stoll(said.substr(found + kWords.size()));
    }
    const auto count = ::read(output, bytes.data(), bytes.size());
    if (count <= 0) {
      throw std::runtime_error("ChromeDriver ended: " + said);
    }
    said.append(bytes.data(), static_cast<size_t>(count));
  }
}

}  // namespace

bool WebBrowser::is_installed() {
  return std::filesystem::exists(kDriver);
}

WebBrowser::WebBrowser() {
  driver_ = start_driver(output_);
  port_ = read_port(output_);
  const auto made =
      ask_driver("POST", "/session", {{"capabilities", {{"alwaysMatch", capabilities()}}}});
  session_ = "/session/" + made.at("sessionId").get<std::string>();
}

WebBrowser::~WebBrowser() {
  try {
    ask_driver("DELETE", session_);
  } catch (const std::exception&) {
    // Gone already.
  }
  ::kill(driver_, SIGTERM);
  ::waitpid(driver_, nullptr, 0);
  ::close(output_);
}

json WebBrowser::ask_driver(const std::string& method, const std::string& path, const json& body) {
  namespace http = boost::beast::http;
  using boost::asio::ip::tcp;
  http::request<http::string_body> request(http::string_to_verb(method), path, 11);
  request.set(http::field::host, "127.0.0.1");
  request.body() = method == "POST" ? body.dump() : "";
  request.prepare_payload();
  boost::asio::io_context context;
  tcp::socket socket(context);
  socket.connect({boost::asio::ip::address_v4::loopback(), static_cast<uint16_t>(port_)});
  http::write(socket, request);
  boost::beast::flat_buffer buffer;
  http::response<http::string_body> answer;
  http::read(socket, buffer, answer);
  auto value = json::parse(answer.body()).at("value");
  if (answer.result() != http::status::ok) {
    throw std::runtime_error(path + ": " + value.value("message", answer.body()));
  }
  return value;
}

std::string WebBrowser::element(const std::string& selector) {
  return ask_driver("POST", session_ + "/element", {{"using", "css selector"}, {"value", selector}})
      .at(kElementKey);
}

void WebBrowser::resize(int width, int height) {
  ask_driver(
      "POST", session_ + "/goog/cdp/execute",
      {{"cmd", "Emulation.setDeviceMetricsOverride"},
       {"params",
        {{"width", width}, {"height", height}, {"deviceScaleFactor", 1}, {"mobile", false}}}});
}

void WebBrowser::open(const std::string& url) {
  // From one view of a page to another only the part behind # changes: that alone loads nothing.
  ask_driver("POST", session_ + "/url", {{"url", "about:blank"}});
  ask_driver("POST", session_ + "/url", {{"url", url}});
}

json WebBrowser::run(const std::string& script) {
  return ask_driver("POST", session_ + "/execute/sync",
                    {{"script", script}, {"args", json::array()}});
}

bool WebBrowser::comes_true(const std::string& expression) {
  constexpr auto kPatience = std::chrono::seconds(20);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < end) {
    if (run("return Boolean(" + expression + ")").get<bool>()) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

void WebBrowser::type(const std::string& selector, std::string_view keys) {
  ask_driver("POST", session_ + "/element/" + element(selector) + "/value", {{"text", keys}});
}

void WebBrowser::press(const std::string& selector, std::string_view key) {
  run("document.querySelector('" + selector + "').focus()");
  const json down = {{"type", "keyDown"}, {"value", key}};
  const json up = {{"type", "keyUp"}, {"value", key}};
  const json keyboard = {{"type", "key"}, {"id", "keyboard"}, {"actions", json::array({down, up})}};
  ask_driver("POST", session_ + "/actions", {{"actions", json::array({keyboard})}});
}

void WebBrowser::click(const std::string& selector) {
  ask_driver("POST", session_ + "/element/" + element(selector) + "/click");
}

void WebBrowser::point_at(const std::string& selector) {
  const json move = {{"type", "pointerMove"},
                     {"duration", 0},
                     {"origin", {{kElementKey, element(selector)}}},
                     {"x", 0},
                     {"y", 0}};
  const json mouse = {{"type", "pointer"},
                      {"id", "mouse"},
                      {"parameters", {{"pointerType", "mouse"}}},
                      {"actions", json::array({move})}};
  ask_driver("POST", session_ + "/actions", {{"actions", json::array({mouse})}});
}

std::vector<std::string> WebBrowser::complaints() {
  std::vector<std::string> found;
  for (const auto& entry : ask_driver("POST", session_ + "/se/log", {{"type", "browser"}})) {
    if (entry.value("source", "") != "network") {
      found.push_back(entry.at("message"));
    }
  }
  return found;
}

}  // namespace loopbank::testing
