#include "loopbank/serve/page_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "../support/occurrences.h"
#include "loopbank/support/files.h"

namespace loopbank {
namespace {

using testing::count_of;

TEST(ServePageFiles, AreTheFilesOfTheSources) {
  const auto file = [](const char* name) {
    return read_file(std::filesystem::path(LOOPBANK_SOURCE_DIR) / "loopbank/serve/page" / name);
  };
  EXPECT_EQ(kServePageHtml, file("page.html"));
  EXPECT_EQ(kServePageCss, file("palette.css") + file("page.css"));
  std::string scripts;
  for (const char* name :
       {"element.js", "api.js", "fields.js", "exit_field.js", "settings.js", "token_text.js",
        "token_view.js", "inside_card.js", "live_strip.js", "compare.js", "column.js", "page.js"}) {
    scripts += file(name);
  }
  EXPECT_EQ(kServePageJs, scripts);
}

TEST(ServePageFiles, NothingComesFromElsewhereAndNoTextEntersAsMarkup) {
  for (const auto text : {kServePageHtml, kServePageCss, kServePageJs}) {
    const std::string file(text);
    for (const char* loader : {"url(", "@import", "https:", "style=", "onclick", "innerHTML",
                               "outerHTML", "insertAdjacentHTML", "document.write", "eval("}) {
      EXPECT_EQ(count_of(file, loader), 0U) << loader;
    }
  }
  const std::string html(kServePageHtml);
  EXPECT_EQ(count_of(html, "<script"), 1U);
  EXPECT_EQ(count_of(html, "<script src=\"page.js\"></script>"), 1U);
  EXPECT_EQ(count_of(html, "<style"), 0U);
  EXPECT_EQ(count_of(html, "href="), 2U);
  EXPECT_EQ(count_of(html, "href=\"page.css\""), 1U);
  EXPECT_EQ(count_of(html, "href=\"data:"), 1U);
}

}  // namespace
}  // namespace loopbank
