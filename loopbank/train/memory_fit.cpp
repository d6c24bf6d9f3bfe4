#include "loopbank/train/memory_fit.h"

#include <fmt/format.h>

#include <algorithm>

#include "loopbank/support/error.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/rounding.h"
#include "loopbank/train/batch_step.h"

namespace loopbank {
namespace {

/// The settings that would fit, as the user gives them.
std::string remedy_for(const RunConfig& config, double bytes, const RankShares& shares) {
  const auto fit = fit_to_memory(config, bytes, shares);
  if (!fit) {
    return "Take a smaller model, a shorter training.sequence_length or a device with more memory.";
  }
  return fmt::format(
      "Lower it with --set training.micro_batch={} --set training.recompute={} ({}).",
      fit->micro_batch, fit->recompute, format_bytes(fit->memory.total()));
}

}  // namespace

CostByPart run_memory(const RunConfig& config, const RankShares& shares) {
  auto training = config.training;
  training.batch = std::max<int64_t>(training.batch, 1);
  const int64_t rows = rows_a_pass(training, shares.ranks);
  const int64_t passes = training.batch / rows;
  return training_memory(
      config.model,
      {.sequences = rows,
       .sequence_length = training.sequence_length > 0 ? training.sequence_length
                                                       : config.model.max_position_embeddings,
       .low_precision = training.precision == "bf16",
       .fused = !training.device.starts_with("cuda"),
       .recompute = training.forward_options().recompute,
       .accumulates = passes > shares.ranks,
       .ranks = shares.ranks,
       .shards_optimizer = shares.shards_optimizer});
}

std::optional<MemoryFit> fit_to_memory(const RunConfig& config, double bytes,
                                       const RankShares& shares) {
  const double usable = (1.0 - kMemoryReserve) * bytes;
  auto tried = config;
  auto& training = tried.training;
  training.batch = std::max<int64_t>(training.batch, 1);
  const int64_t most = std::max<int64_t>(1, training.batch / shares.ranks);
  for (const char* recompute : {"none", "loop", "layer"}) {
    training.recompute = recompute;
    std::optional<MemoryFit> best;
    int64_t least = 0;  // rows of the rank that has most
    for (int64_t rows = 1; rows <= most; ++rows) {
      if (training.batch % rows != 0) {
        continue;
      }
      training.micro_batch = rows;
      auto memory = run_memory(tried, shares);
      const int64_t of_rank = rows * divide_up(training.batch / rows, shares.ranks);
      if (memory.total() <= usable && (!best || of_rank <= least)) {
        best = {.recompute = recompute, .micro_batch = rows, .memory = std::move(memory)};
        least = of_rank;
      }
    }
    if (best) {
      return best;
    }
  }
  return std::nullopt;
}

void expect_enough_memory(const RunConfig& run, double bytes, std::string_view device,
                          const RankShares& shares) {
  auto config = run;
  config.training.device = device;
  const double needed = run_memory(config, shares).total();
  if (needed > bytes) {
    fail(ErrorCode::kDevice,
         "{}: expected {} of free memory for passes of {} with training.recompute {}, got {}. {}",
         device, format_bytes(needed),
         plural(rows_a_pass(config.training, shares.ranks), "sequence"), config.training.recompute,
         format_bytes(bytes), remedy_for(config, bytes, shares));
  }
}

}  // namespace loopbank
