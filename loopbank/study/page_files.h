#pragma once
/// The files of the page (page/*.html, *.css, *.js) and Chart.js as texts built into the program.
/// The build copies them in; they are not written twice.

#include <string_view>

namespace loopbank {

extern const std::string_view kHeadHtml;  ///< what every page begins with
extern const std::string_view kPageHtml;  ///< the frame, with {{names}} for what is put in
extern const std::string_view kPageCss;   ///< serve/page/palette.css, page/page.css
/// serve/page/element.js; page/dom.js, tables.js, charts.js, figure_view.js, tokens.js, page.js
extern const std::string_view kPageJs;
extern const std::string_view kExitHtml;  ///< the frame of the page of `bench exit`
extern const std::string_view kExitJs;   ///< element.js, dom.js, charts.js, figure_view.js, exit.js
extern const std::string_view kChartJs;  ///< Chart.js 3.9, minified, with its licence's notice

}  // namespace loopbank
