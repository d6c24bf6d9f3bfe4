#pragma once
/// A figure as a stand-alone SVG: no script, no file beside it, legible at 860 pixels and on paper.
///
///     title
///     keys               colour and mark of each series, where more than one is drawn
///     panels             all of them, in rows of one to three
///     caption            what is shown, and what the bars are
///     conclusion         what may be said of it
///
/// Series that a page starts without are named and left to the CSV. Not here: what a figure shows
/// (figures.h), the turning and choosing of the page (page/figure_view.js).

#include <string>

#include "loopbank/study/figures.h"

namespace loopbank {

/// The picture, on white, in the colours that the page has by day. Its <title> and <desc> say what
/// the words in it say, and each mark has its value as a <title>.
[[nodiscard]] std::string figure_svg(const Figure& figure);

}  // namespace loopbank
