#include "loopbank/study/figures_soft_hard.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "loopbank/study/comparison_members.h"
#include "loopbank/study/figure_words.h"
#include "loopbank/support/json_members.h"
#include "loopbank/support/progress.h"

namespace loopbank {

/// A pair of `comparisons`, as far as the figure needs it.
struct SoftHardPair {
  std::string question;
  std::string where;
  std::string kv;
  std::string soft;
  Difference documents;
  std::optional<Difference> seeds = {};
};

void members(auto& by, Either<SoftHardPair> auto& pair) {
  by("question", pair.question);
  by("where", pair.where);
  by("kv", pair.kv);
  by("a", pair.soft);
  by.object("bpb_difference", pair.documents);
}

namespace {

const MembersForm kBenchForm = {.expected = "the results of bench exit"};

std::vector<SoftHardPair> read_pairs(const JsonReader& from) {
  std::vector<SoftHardPair> pairs;
  from.each("comparisons", [&](const std::string&, const JsonReader& row) {
    SoftHardPair pair;
    row.read(pair);
    if (const auto* seeds = row.find("bpb_over_seeds"); seeds != nullptr && !seeds->is_null()) {
      row.at("bpb_over_seeds").read(pair.seeds.emplace());
    }
    if (pair.question == "hard") {
      pairs.push_back(std::move(pair));
    }
  });
  return pairs;
}

std::string soft_hard_words(const std::vector<SoftHardPair>& pairs, int64_t models) {
  if (auto one_seed = one_seed_words(static_cast<size_t>(models)); !one_seed.empty()) {
    return one_seed;
  }
  size_t lost = 0;
  size_t won = 0;
  for (const auto& pair : pairs) {
    lost += pair.seeds && pair.seeds->low > 0 ? 1 : 0;
    won += pair.seeds && pair.seeds->high < 0 ? 1 : 0;
  }
  return fmt::format(
      "Over {}, of {} leaving hard costs bits per byte in {} and saves some in {}; in the others "
      "it cannot be told from mixing softly.",
      plural(models, "model"), plural(pairs.size(), "pair"), lost, won);
}

}  // namespace

std::optional<Figure> soft_hard_figure(const nlohmann::ordered_json& bench,
                                       const std::string& where) {
  const JsonReader from(bench, where, kBenchForm);
  int64_t models = 1;
  from("models", models);
  const auto pairs = read_pairs(from);
  if (pairs.empty()) {
    return std::nullopt;
  }
  Figure figure{.id = "soft-hard",
                .section = "exits",
                .title = "Soft mixture against hard exit",
                .caption =
                    "Bits per byte of a rule that takes the state of the loop at which it leaves, "
                    "less those of the same rule mixing the loops that ran by their halting "
                    "probabilities; filled where the interval leaves out 0. To the left hard is "
                    "better.",
                .x_title = "rule",
                .y_title = "difference in bits per byte, hard - soft",
                .kind = FigureKind::kDots,
                .panels_side_by_side = true,
                .error_label = models > 1 ? "95 % interval over models (Student's t)"
                                          : "95 % interval over documents of one model",
                .conclusion = soft_hard_words(pairs, models)};
  for (const auto& pair : pairs) {
    const auto& shown = pair.seeds ? *pair.seeds : pair.documents;
    FigureSeries series{.label = pair.soft,
                        .panel = fmt::format("{}, keys {}", pair.where, pair.kv),
                        .color = "loops-0",
                        .hollow = !shown.excludes_zero()};
    series.add(figure.place_of(pair.soft), shown.difference, shown.low, shown.high);
    figure.series.push_back(std::move(series));
  }
  for (const auto& panel : panels_of(figure)) {
    figure.references.push_back({panel, 0.0, ""});
  }
  return figure;
}

}  // namespace loopbank
