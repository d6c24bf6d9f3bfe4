#pragma once
/// The figures of a study as plain data: what stands on which axis, in which colour, with what
/// error. The page draws them and the CSV files list them; neither computes anything.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loopbank/study/results.h"

namespace loopbank {

enum class FigureKind {
  kDots,    ///< a score a system: systems below each other, the score to the right
  kBars,    ///< groups of bars at the names of x
  kAcross,  ///< the same with the names below each other and bars to the right or left
  kStack,   ///< bars upon each other
  kLines,   ///< y over x
  kPath,    ///< points in order, joined, both axes measured
  kPoints,  ///< points with their names beside them, joined where a series has several
  kHeat,    ///< a table, a row a series
};

[[nodiscard]] std::string_view name_of(FigureKind kind);

/// One line, set of bars, cloud of points or row of a table.
struct FigureSeries {
  std::string label;
  std::string panel = {};  ///< which of the figure's pictures it stands in; empty: the only one
  std::string color = {};  ///< "loops-1" of the palette; "ramp:0.5" on the way from first to last
  std::vector<double> x = {};  ///< numbers, or positions in Figure::x_names
  std::vector<double> y = {};
  std::vector<double> error = {};       ///< a point each, half of its bar; empty: none
  std::vector<double> low = {};         ///< a point each, where its interval begins; before `error`
  std::vector<double> high = {};        ///< and where it ends; NaN: a point without an interval
  std::vector<std::string> notes = {};  ///< a point each; empty: none
  bool hidden = false;                  ///< until the reader asks for it
  bool lower_is_better = false;         ///< of y, where it is shaded
  bool hollow = false;                  ///< marks without filling: what noise may have made
  bool apart = false;                   ///< marks alone, not joined by a line

  /// Adds a point.
  void add(double at, double value) {
    x.push_back(at);
    y.push_back(value);
  }
  /// Adds a point with its interval; NaN for none.
  void add(double at, double value, double from, double to) {
    add(at, value);
    low.push_back(from);
    high.push_back(to);
  }
  /// Where the i-th point's bar begins and ends; nothing for none.
  [[nodiscard]] std::optional<std::pair<double, double>> interval(size_t i) const;
};

/// A line across a picture at a value of its measured axis.
struct ReferenceLine {
  std::string panel;
  double value = 0.0;
  std::string label;
  bool of_x = false;  ///< at a value of x, where y is measured too
};

struct Figure {
  std::string id;
  /// Of the page: scores, claims, loops, memory, together, inside, exits, training.
  std::string section;
  std::string title;
  std::string caption;
  std::string x_title;
  std::string y_title;
  FigureKind kind = FigureKind::kLines;
  std::vector<std::string> x_names = {};
  std::vector<FigureSeries> series = {};
  bool panels_side_by_side = false;  ///< else one at a time, which the reader chooses
  bool x_falls = false;              ///< the x axis runs from high to low
  bool x_log = false;                ///< equal factors of x are equally far apart
  std::vector<ReferenceLine> references = {};
  std::string error_label = {};  ///< what `error`, or `low` to `high`, is
  std::string conclusion = {};   ///< what may be concluded, a sentence or two

  /// The position of a name on the x axis; one that is new comes behind the others.
  double place_of(const std::string& name);
};

/// A system as every figure and table of its part shows it.
struct ShownSystem {
  const SystemResult* result;
  /// Its label and colour, without a point. The colour is of the page's palette: its family's, in
  /// its family's order; systems outside the paper's ten take colours of their own. Hidden where a
  /// part has many systems and this is none of the four that tell the paper's story.
  FigureSeries series;

  /// In one picture of several, where every system is shown from the start.
  [[nodiscard]] FigureSeries in_panel(const std::string& panel) const;
  /// Hidden only where it is part of a sweep.
  [[nodiscard]] FigureSeries shown_if_single() const;
};

/// A looped model whose inner life was measured.
struct MeasuredModel {
  const ShownSystem* system;
  const Inside* inside;
};

/// A part as its figures, tables and tokens show it.
struct ShownPart {
  const PartResult* part;
  std::vector<ShownSystem> systems;
  std::string bars;  ///< what the errors of the scores are, for a caption
};

[[nodiscard]] ShownPart shown_part(const PartResult& part);

/// Every figure that the part has the data for, in the page's order, each with its conclusion.
[[nodiscard]] std::vector<Figure> make_figures(const ShownPart& source);

[[nodiscard]] std::vector<MeasuredModel> measured_models(const ShownPart& source);

/// Adds a system's score in a column with its bar; nothing where it was not scored.
/// @param note  empty: none
void add_score(FigureSeries& series, double at, const SystemResult& system, const Column& column,
               const std::string& note = "");

/// `ramp:0.5`: the colour of the i-th of n things in order.
[[nodiscard]] std::string ramp_color(size_t i, size_t n, std::string_view ramp = "ramp");

/// The panels of a figure in the order in which they appear; one empty name where it has none.
[[nodiscard]] std::vector<std::string> panels_of(const Figure& figure);

// The kinds of figures, series without a point included.

/// Scores: by system, against IsoPar with intervals, by task, beside the paper, by difficulty.
[[nodiscard]] std::vector<Figure> score_figures(const ShownPart& source);
/// What a score costs: loops, the weight of the ponder term, parameters, memory slots.
[[nodiscard]] std::vector<Figure> cost_figures(const ShownPart& source);
/// What systems gain on others as they see more tokens.
[[nodiscard]] std::vector<Figure> gain_figures(const ShownPart& source);
/// Systems that differ in one setting: the weight of the ponder term, the router's bias.
[[nodiscard]] std::vector<Figure> sweep_figures(const ShownPart& source);
/// What all seeds share inside: when layers begin to loop, loops and gates by layer.
[[nodiscard]] std::vector<Figure> layer_figures(const ShownPart& source);
/// Loops against the consecutive steps behind a token of an answer.
[[nodiscard]] std::vector<Figure> thinking_figures(const ShownPart& source);
/// The inner life of one seed's models: how often each layer loops, how far its gates open, what a loop
/// does to the state, and for which tokens.
[[nodiscard]] std::vector<Figure> inside_figures(const ShownPart& source);
/// What stopping early costs, and what it saves: by system, by rule, by policy.
[[nodiscard]] std::vector<Figure> early_exit_figures(const ShownPart& source);
/// What happens along the training: loss, loops and gates.
[[nodiscard]] std::vector<Figure> training_figures(const ShownPart& source);

/// Knowledge in bits over the facts of all parts (capacity.h); nothing where no part measures it.
/// @param source  a part whose systems' colours it takes
[[nodiscard]] std::optional<Figure> capacity_figure(const StudyResult& results,
                                                    const ShownPart& source);

}  // namespace loopbank
