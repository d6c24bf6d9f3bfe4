#include "loopbank/dissect/inside_exit.h"

#include <numbers>
#include <numeric>

#include "loopbank/dissect/text_rows.h"
#include "loopbank/infer/engine.h"
#include "loopbank/model/cost.h"

namespace loopbank {
InsideOfExit measure_exit(const LanguageModel& model, const Batch& rows, int64_t num_bytes,
                          const InsideOptions& options) {
  Engine engine(model, {.compute_dtype = options.compute_dtype,
                        .batch_tokens = options.batch_tokens,
                        .share_beginnings = false});
  for (int64_t row = 0; row < rows.tokens.size(0); ++row) {
    auto request = Request::scoring(text_of_row(rows, row), 1);
    request.inference = options.inference;
    engine.add(std::move(request));
  }
  double nats = 0.0;
  while (!engine.idle()) {
    for (const auto& token : engine.step().scored) {
      nats -= token.log_probability;
    }
  }
  const auto num_tokens = static_cast<double>(engine.counts().tokens);
  InsideOfExit exit{.exit = options.inference.exit.name(),
                    .kv = std::string(options.inference.policy->name()),
                    .loss = nats / num_tokens,
                    .bpb = nats / (std::numbers::ln2 * static_cast<double>(num_bytes))};
  for (const auto run : engine.counts().loops.run) {
    exit.loops.push_back(static_cast<double>(run) / num_tokens);
  }
  const double mean = std::accumulate(exit.loops.begin(), exit.loops.end(), 0.0) /
                      static_cast<double>(exit.loops.size());
  const auto& late = engine.counts().loops.late;
  exit.flops_per_token =
      expected_forward_flops(model.config(), rows.tokens.size(1), mean) +
      late_key_flops(model.config()) *
          static_cast<double>(std::accumulate(late.begin(), late.end(), int64_t{0})) / num_tokens;
  return exit;
}

}  // namespace loopbank
