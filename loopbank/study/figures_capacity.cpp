// The figure of knowledge in bits over a range of facts, of all parts of a study together.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "loopbank/study/capacity.h"
#include "loopbank/study/figure_words.h"
#include "loopbank/study/figures.h"

namespace loopbank {
namespace {

constexpr const char* kKnown = "bits known";
constexpr const char* kAParameter = "bits a parameter";

std::string capacity_words(const std::vector<CapacityPoint>& points) {
  SeedCounts seeds;
  std::vector<std::string> held;
  for (const auto& point : points) {
    if (point.people == points.back().people && point.parameters > 0 && point.num_seeds > 1) {
      seeds.add(static_cast<size_t>(point.num_seeds));
      held.push_back(fmt::format("{} {:.3f} [{:.3f}, {:.3f}]", point.label, point.bits_a_parameter,
                                 std::max(point.low, 0.0) / point.parameters,
                                 point.high / point.parameters));
    }
  }
  if (held.empty()) {
    return one_seed_words(1);
  }
  return fmt::format("In the largest world ({} people), over {}, bits a parameter known: {}.",
                     points.back().people, seeds.words(), listed(held));
}

}  // namespace

std::optional<Figure> capacity_figure(const StudyResult& results, const ShownPart& source) {
  const auto points = capacity_points(results);
  if (points.empty()) {
    return std::nullopt;
  }
  Figure figure{.id = "capacity",
                .section = "memory",
                .title = "Knowledge against facts",
                .caption =
                    "Bits known of invented people against the bits that there are to know, means "
                    "over seeds. Where the bits no longer grow, a model is at its capacity.",
                .x_title = "bits to know",
                .y_title = "bits",
                .panels_side_by_side = true,
                .x_log = true,
                .error_label = kSeedsInterval,
                .conclusion = capacity_words(points)};
  for (const auto& [panel, is_share] : {std::pair(kKnown, false), std::pair(kAParameter, true)}) {
    for (const auto& system : source.systems) {
      auto series = system.in_panel(panel);
      for (const auto& point : points) {
        if (point.system == system.result->name && point.parameters > 0) {
          const double scale = is_share ? 1 / point.parameters : 1.0;
          const double none = std::numeric_limits<double>::quiet_NaN();
          const bool over_seeds = point.num_seeds > 1;  // else its interval is over questions
          series.add(point.facts_bits, scale * point.bits, over_seeds ? scale * point.low : none,
                     over_seeds ? scale * point.high : none);
          series.notes.push_back(fmt::format("{} people", point.people));
        }
      }
      figure.series.push_back(std::move(series));
    }
  }
  FigureSeries all{.label = "all there is", .panel = kKnown, .color = "paper"};
  for (const auto& point : points) {
    if (all.x.empty() || all.x.back() != point.facts_bits) {
      all.add(point.facts_bits, point.facts_bits);
    }
  }
  figure.series.push_back(std::move(all));
  std::erase_if(figure.series, [](const FigureSeries& series) { return series.y.empty(); });
  note_cut_intervals(figure);
  return figure;
}

}  // namespace loopbank
