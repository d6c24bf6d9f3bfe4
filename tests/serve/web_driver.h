#pragma once
/// Chromium without a window, led by ChromeDriver over the WebDriver protocol (W3C), for tests of the page.

#include <sys/types.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace loopbank::testing {

/// One browser with one tab. Every call returns once the browser has done it.
class WebBrowser {
 public:
  [[nodiscard]] static bool is_installed();
  /// @throws std::runtime_error where ChromeDriver or Chromium does not start
  WebBrowser();
  ~WebBrowser();
  WebBrowser(const WebBrowser&) = delete;
  WebBrowser& operator=(const WebBrowser&) = delete;

  /// Sizes the page, in CSS pixels.
  void resize(int width, int height);
  void open(const std::string& url);
  /// The value that a function body returns.
  nlohmann::json run(const std::string& script);
  /// Whether an expression comes to be true within 20 s.
  [[nodiscard]] bool comes_true(const std::string& expression);
  /// Writes into a field, behind what stands there. `kControl` and others stand for keys that write
  /// nothing.
  void type(const std::string& selector, std::string_view keys);
  /// Gives the element the focus and presses one key.
  void press(const std::string& selector, std::string_view key);
  void click(const std::string& selector);
  /// Moves the mouse to the middle of the element.
  void point_at(const std::string& selector);
  /// What the page's scripts and its security policy complained of since the last call; not answers
  /// of a server that are errors.
  std::vector<std::string> complaints();

  // The private characters that WebDriver gives to keys, UTF-8.
  static constexpr std::string_view kNoKey = "\uE000";  ///< lets go of the keys that are held
  static constexpr std::string_view kEnter = "\uE007";
  static constexpr std::string_view kControl = "\uE009";
  static constexpr std::string_view kEscape = "\uE00C";
  static constexpr std::string_view kEnd = "\uE010";
  static constexpr std::string_view kHome = "\uE011";
  static constexpr std::string_view kLeft = "\uE012";
  static constexpr std::string_view kRight = "\uE014";

 private:
  nlohmann::json ask_driver(const std::string& method, const std::string& path,
                            const nlohmann::json& body = nlohmann::json::object());
  std::string element(const std::string& selector);

  pid_t driver_ = -1;
  int output_ = -1;
  int64_t port_ = 0;
  std::string session_;
};

}  // namespace loopbank::testing
