// Figures of what stopping early costs, and what it saves.
#include <fmt/format.h>

#include <array>
#include <limits>
#include <utility>

#include "loopbank/study/exits_table.h"
#include "loopbank/study/figures.h"

namespace loopbank {
namespace {

constexpr const char* kHalfIntervalText = "half of the 95 % interval over seeds";

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// Half of the interval, in percent of all loops' bits per byte; none where nothing was measured.
double half_share(const SystemComparison& bpb) {
  const auto& interval = bpb.decisive;
  return interval.high > interval.low ? 50 * (interval.high - interval.low) / bpb.there : kNone;
}

/// What the errors of bits per byte are.
std::string interval_text(const PartResult& part) {
  return part.seeds.size() > 1
             ? kHalfIntervalText
             : std::string("half of the 95 % interval over the rows of text of one seed");
}

/// The bars of a quantity, a system each.
struct SavedBars {
  const char* label;
  const char* color;
  const std::vector<double>* (*values)(const ExitsRow&);
};

Figure saved_at_a_price(const PartResult& part) {
  Figure figure{.id = "exits-saved",
                .section = "exits",
                .title = "What stopping early saves",
                .caption =
                    "Of each system the rule that saves most FLOPs at this price in bits per byte "
                    "of validation text, and the time that it saves where text is scored and "
                    "where it is decoded token by token.",
                .x_title = "system",
                .y_title = "saved, %",
                .kind = FigureKind::kAcross,
                .panels_side_by_side = true,
                .error_label = kHalfIntervalText};
  constexpr std::array kBars = {
      SavedBars{"FLOPs", "dense-0",
                [](const ExitsRow& row) { return &row.best->flops_saved_by_seed; }},
      SavedBars{"time, scoring", "loops-1",
                [](const ExitsRow& row) { return &row.best->time_saved_by_seed; }},
      SavedBars{"time, decoding", "memory-1", [](const ExitsRow& row) {
                  return row.decoded == nullptr ? nullptr : &row.decoded->time_saved_by_seed;
                }}};
  const auto rows = exits_rows(part);
  for (const double price : {kEqualShare, kCloseShare}) {
    for (const auto& bars : kBars) {
      FigureSeries series{.label = bars.label,
                          .panel = fmt::format("BPB up by {:.1f} % at most", 100 * price),
                          .color = bars.color};
      for (const auto& row : rows) {
        const auto* values = row.price == price ? bars.values(row) : nullptr;
        if (values != nullptr && !values->empty()) {
          series.add(figure.place_of(row.system->label), 100 * mean_of(*values));
          series.error.push_back(100 * half_interval(*values).value_or(kNone));
          series.notes.push_back(row.best->label());
        }
      }
      figure.series.push_back(std::move(series));
    }
  }
  return figure;
}

/// The kinds of rules and the colours of their curves.
struct RuleCurve {
  const char* kind;
  const char* color;
  const char* color_of_decoding;
};
constexpr std::array kRuleCurves = {RuleCurve{"budget", "dense-1", "other-1"},
                                    RuleCurve{"cdf", "loops-0", "other-0"},
                                    RuleCurve{"change", "memory-2", "other-2"}};

/// A curve of one kind of rule, from all loops on.
FigureSeries curve_of_rule(const SystemResult& system, const std::string& kind,
                           const std::string& where, double (ExitSummary::*saved)() const) {
  FigureSeries curve{.label = kind, .panel = system.label};
  for (const auto& result : system.exits->results) {
    if (result.kv != "full" || result.where != where ||
        (result.name != "all" && !result.name.starts_with(kind + " "))) {
      continue;
    }
    const bool timed = !result.time_saved_by_seed.empty();
    if (saved == &ExitSummary::time_saved && !timed) {
      continue;
    }
    curve.add(100 * (result.*saved)(), 100 * result.bpb.relative());
    curve.error.push_back(half_share(result.bpb));
    curve.notes.push_back(result.name == "all" ? "" : result.label());
  }
  if (curve.x.size() < 2) {  // all loops alone
    curve = {.label = kind};
  }
  return curve;
}

/// Quality lost against what is saved; the reader chooses the system.
Figure price_figure(const PartResult& part, double (ExitSummary::*saved)() const) {
  const bool of_time = saved == &ExitSummary::time_saved;
  Figure figure{.id = of_time ? "exits-time" : "exits-flops",
                .section = "exits",
                .title = of_time ? "Quality lost for time saved" : "Quality lost for FLOPs saved",
                .caption = of_time
                               ? "The same against wall-clock time, measured in turns with all "
                                 "loops on the machine of the study; other work on it shows."
                               : "Bits per byte above those of all loops, a curve a kind of rule. "
                                 "Lower and further right is better. cdf leaves by the trained "
                                 "gate, change without it, a budget at the same loop everywhere.",
                .x_title = of_time ? "time saved, %" : "FLOPs saved, %",
                .y_title = "bits per byte above all loops, %",
                .kind = FigureKind::kPoints,
                .error_label = interval_text(part)};
  for (const auto& system : part.systems) {
    if (!system.exits) {
      continue;
    }
    bool any = false;
    for (const auto& [kind, color, color_of_decoding] : kRuleCurves) {
      auto curve = curve_of_rule(system, kind, "scoring", saved);
      curve.color = color;
      any = any || !curve.y.empty();
      figure.series.push_back(std::move(curve));
      if (of_time) {
        auto decoded = curve_of_rule(system, kind, "decode", saved);
        decoded.label += ", decoding";
        decoded.color = color_of_decoding;
        decoded.hidden = true;
        figure.series.push_back(std::move(decoded));
      }
    }
    if (any) {
      for (const double price : {kEqualShare, kCloseShare}) {
        figure.references.push_back(
            {system.label, 100 * price, fmt::format("{:.1f} %", 100 * price)});
      }
    }
  }
  return figure;
}

/// What keys and values of tokens that left do to bits per byte.
Figure policy_figure(const PartResult& part) {
  Figure figure{.id = "exits-keys",
                .section = "exits",
                .title = "Keys and values of tokens that left",
                .caption =
                    "Bits per byte above those of all loops where tokens leave by the gate and "
                    "later ones find other keys and values of them: made late for the loops that "
                    "did not run (full), those of the last loop (copy), those of the first for "
                    "all loops (first), for decoded tokens alone or for the prompt too.",
                .x_title = "system",
                .y_title = "bits per byte above all loops, %",
                .kind = FigureKind::kAcross,
                .panels_side_by_side = true,
                .error_label = interval_text(part)};
  constexpr std::array<std::array<const char*, 3>, 3> kPolicies = {
      {{"full", "full", "dense-0"}, {"copy", "copy", "loops-1"}, {"first", "first", "memory-1"}}};
  for (const std::string where : {"decode", "everywhere"}) {
    for (const auto& [kv, label, color] : kPolicies) {
      FigureSeries series{.label = label,
                          .panel = where == "decode" ? "decoded tokens" : "prompts too",
                          .color = color};
      for (const auto& system : part.systems) {
        for (const auto& copied :
             system.exits ? system.exits->results : std::vector<ExitSummary>()) {
          // What full gives is the same in both places, and measured in one.
          const auto* result =
              copied.kv != "copy" || copied.where != where || copied.name == "all" ? nullptr
              : series.label == "full" ? system.exits->find(copied.name, "full", "decode")
                                       : system.exits->find(copied.name, kv, where);
          if (result != nullptr) {
            series.add(figure.place_of(system.label), 100 * result->bpb.relative());
            series.error.push_back(half_share(result->bpb));
            series.notes.push_back(result->label());
          }
        }
      }
      figure.series.push_back(std::move(series));
    }
  }
  return figure;
}

}  // namespace

std::vector<Figure> early_exit_figures(const ShownPart& source) {
  const auto& part = *source.part;
  return {saved_at_a_price(part), price_figure(part, &ExitSummary::flops_saved),
          price_figure(part, &ExitSummary::time_saved), policy_figure(part)};
}

}  // namespace loopbank
