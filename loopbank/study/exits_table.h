#pragma once
/// What stopping early costs and saves as a table: a row a system and price, for the page and for the
/// terminal. A price is the most that bits per byte may rise: 0.1 % counts as equal.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/study/results.h"

namespace loopbank {

/// The result that saves most FLOPs of scoring at a price.
struct ExitsRow {
  const SystemResult* system;
  double price;  ///< kEqualShare or kCloseShare
  const ExitSummary* best;
  const ExitSummary* decoded;  ///< the same rule where tokens are decoded; null where not measured
};

/// Of every system whose exits were measured, in the part's order, both prices.
[[nodiscard]] std::vector<ExitsRow> exits_rows(const PartResult& part);

/// `12.3 %`, with the 95 % interval where there are several seeds: `12.3 +- 1.4 %`; `-` for none.
[[nodiscard]] std::string saved_text(const std::vector<double>& by_seed);
/// `+0.12 %`: bits per byte above those of all loops.
[[nodiscard]] std::string rise_text(const SystemComparison& bpb);

/// The table for a terminal and the headline of the answer; a sentence where nothing was measured.
[[nodiscard]] std::string format_exits(const PartResult& part);
/// {"columns": [], "rows": [{"system", "price", "cells": []}], "legend"}
[[nodiscard]] nlohmann::ordered_json exits_data(const PartResult& part);

}  // namespace loopbank
