#pragma once
/// Lists of seeds: of systems, of the folders of a study's part.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "loopbank/study/systems.h"

namespace loopbank {

/// Of all the systems, each once, in the order in which they first appear.
[[nodiscard]] std::vector<int64_t> seeds_of(const std::vector<System>& systems);

/// Each seed once: those of `order` as they stand there, and behind them the others.
[[nodiscard]] std::vector<int64_t> in_order_of(const std::vector<int64_t>& order,
                                               const std::vector<int64_t>& seeds);

/// Of the folders DIR/seed-N, rising; none where there is no such DIR.
[[nodiscard]] std::vector<int64_t> seeds_under(const std::filesystem::path& directory);

}  // namespace loopbank
