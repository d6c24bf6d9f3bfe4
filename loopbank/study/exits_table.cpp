#include "loopbank/study/exits_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "loopbank/study/answers.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kPrices = {kEqualShare, kCloseShare};

std::string price_text(double price) {
  return fmt::format("BPB up by {:.1f} % at most", 100 * price);
}

std::string word_if_clear(Verdict verdict) {
  return verdict == Verdict::kOpen ? "" : fmt::format(", {}", name_of(verdict));
}

/// `over the seeds`, or what one seed's interval is of.
std::string source_text(const PartResult& part) {
  return part.seeds.size() > 1 ? "over the seeds"
                               : "over the rows of text of one seed, which tells of these weights "
                                 "alone";
}

}  // namespace

std::vector<ExitsRow> exits_rows(const PartResult& part) {
  std::vector<ExitsRow> rows;
  for (const auto& system : part.systems) {
    for (const double price : kPrices) {
      const auto* best =
          system.exits ? most_saved(*system.exits, "scoring", price, &ExitSummary::flops_saved)
                       : nullptr;
      if (best != nullptr) {
        rows.push_back({&system, price, best, system.exits->find(best->name, "full", "decode")});
      }
    }
  }
  return rows;
}

std::string saved_text(const std::vector<double>& by_seed) {
  if (by_seed.empty()) {
    return "-";
  }
  const auto half = half_interval(by_seed);
  return half ? fmt::format("{:.1f} +- {:.1f} %", 100 * mean_of(by_seed), 100 * *half)
              : fmt::format("{:.1f} %", 100 * by_seed.front());
}

std::string rise_text(const SystemComparison& bpb) {
  return fmt::format("{:+.2f} %", 100 * bpb.relative());
}

std::string format_exits(const PartResult& part) {
  const auto rows = exits_rows(part);
  if (rows.empty()) {
    return "What stopping early costs and saves was not measured.\n";
  }
  size_t width = 12;
  for (const auto& row : rows) {
    width = std::max(width, row.system->label.size());
  }
  auto text = fmt::format(
      "What stopping early costs and saves (validation text, against all loops; intervals {}):\n"
      "{:<{}} {:<12} {:>8} {:>14} {:>14} {:>14}  {}\n",
      source_text(part), "system", width, "rule", "BPB", "FLOPs saved", "time, scoring",
      "time, decoding", "price");
  for (const auto& row : rows) {
    static const std::vector<double> none;
    text += fmt::format(
        "{:<{}} {:<12} {:>8} {:>14} {:>14} {:>14}  {}\n", row.system->label, width,
        row.best->label(), rise_text(row.best->bpb), saved_text(row.best->flops_saved_by_seed),
        saved_text(row.best->time_saved_by_seed),
        saved_text(row.decoded ? row.decoded->time_saved_by_seed : none), price_text(row.price));
  }
  return text + answer_exits(part).headline + ".\n";
}

Json exits_data(const PartResult& part) {
  Json data = {{"columns",
                {"rule", "BPB against all loops", "95 % interval", "loops run", "FLOPs saved",
                 "time saved, scoring", "time saved, decoding"}},
               {"rows", Json::array()}};
  std::vector<const Column*> asked;
  for (const auto& column : part.columns) {
    if (column.is_bpb()) {
      asked.push_back(&column);
      data["columns"].push_back(column.title);
    }
  }
  for (const auto& row : exits_rows(part)) {
    const auto& bpb = row.best->bpb;
    Json cells = {
        row.best->label(),
        rise_text(bpb),
        fmt::format("{:+.2f} to {:+.2f} %", 100 * bpb.decisive.low / bpb.there,
                    100 * bpb.decisive.high / bpb.there),
        fmt::format("{:.2f}", row.best->mean_loops),
        saved_text(row.best->flops_saved_by_seed),
        saved_text(row.best->time_saved_by_seed),
        saved_text(row.decoded ? row.decoded->time_saved_by_seed : std::vector<double>())};
    for (const auto* column : asked) {
      const auto found = row.system->exits->questions.find(column->key);
      const bool known = row.price == kCloseShare && found != row.system->exits->questions.end();
      cells.push_back(known ? rise_text(found->second) + word_if_clear(found->second.verdict) : "");
    }
    data["rows"].push_back({{"system", row.system->label},
                            {"price", price_text(row.price)},
                            {"cells", std::move(cells)}});
  }
  data["legend"] = fmt::format(
      "Of each system the rule that saves most FLOPs at two prices in bits per byte of validation "
      "text. Intervals are {}; +- is half of one. The last columns: the study's questions answered "
      "under the rule of the higher price, which each seed chose on its "
      "text; better or worse where that is clear.",
      source_text(part));
  return data;
}

}  // namespace loopbank
