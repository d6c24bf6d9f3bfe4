#pragma once
/// The files of the page (page/*.html, *.css, *.js) and Chart.js as texts built into the program.
/// The build copies them in; they are not written twice.

#include <string_view>

namespace loopbank {

extern const std::string_view kPageHtml;  ///< the frame, with {{names}} for what is put in
extern const std::string_view kPageCss;
extern const std::string_view kPageJs;   ///< page/dom.js, tables.js, charts.js, tokens.js, page.js
extern const std::string_view kChartJs;  ///< Chart.js 3.9, minified, with its licence's notice

}  // namespace loopbank
