#pragma once
/// The files of the server's page (page/*.html, *.css, *.js) as texts built into the program.

#include <string_view>

namespace loopbank {

extern const std::string_view kServePageHtml;  ///< at `/`
extern const std::string_view kServePageCss;   ///< at `/page.css`: page/palette.css, page/page.css
extern const std::string_view kServePageJs;    ///< at `/page.js`: every script of page/

}  // namespace loopbank
