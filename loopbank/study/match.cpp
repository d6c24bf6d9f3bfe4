#include "loopbank/study/match.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "loopbank/model/cost.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

double num_parameters(const ModelConfig& config) {
  return model_cost(config, 1).parameters.total();
}

double forward_flops(const ModelConfig& config, int64_t sequence_length) {
  return model_cost(config, sequence_length).forward_flops.total();
}

/// The k >= least for which a cost that grows by equal amounts, cost(least) + (k - least) * growth,
/// comes nearest to the target.
int64_t nearest_multiple(double target, double cost_at_least, double growth, int64_t least) {
  const double steps = std::round((target - cost_at_least) / growth);
  return least + static_cast<int64_t>(std::max(steps, 0.0));
}

void check(const ModelConfig& adaptive, const MatchOptions& options) {
  if (adaptive.most_loops() == 0) {
    fail(
        ErrorCode::kConfig,
        "match: expected an adaptive model (\"max_loops\" above 0), got a dense one. A dense model "
        "is its own baseline.");
  }
  for (const auto& [name, value] :
       {std::pair{"step", options.step}, std::pair{"sequence length", options.sequence_length}}) {
    if (value < 1) {
      fail(ErrorCode::kConfig, "match: expected a {} of 1 or more, got {}.", name, value);
    }
  }
}

/// Parameters are linear in F, so the nearest F follows from two counts.
ModelConfig widen(const ModelConfig& adaptive, int64_t step) {
  auto dense = dense_twin(adaptive);
  const double target = num_parameters(adaptive);
  const double narrow = num_parameters(dense);
  auto wider = dense;
  wider.intermediate_size += step;
  const double growth = num_parameters(wider) - narrow;
  dense.intermediate_size += step * nearest_multiple(target, narrow, growth, 0);
  return dense;
}

/// FLOPs are linear in L too: the head is paid once, every layer the same.
ModelConfig deepen(const ModelConfig& adaptive, const ModelConfig& wide, int64_t sequence_length) {
  auto looped = wide;
  looped.max_loops = adaptive.max_loops;
  const double target = forward_flops(looped, sequence_length);
  auto dense = wide;
  dense.num_hidden_layers = 1;
  const double one = forward_flops(dense, sequence_length);
  dense.num_hidden_layers = 2;
  const double growth = forward_flops(dense, sequence_length) - one;
  dense.num_hidden_layers = nearest_multiple(target, one, growth, 1);
  return dense;
}

nlohmann::ordered_json figure_to_json(const MatchedFigure& figure) {
  return {{"target", figure.target}, {"matched", figure.matched}, {"residual", figure.residual()}};
}

}  // namespace

ModelConfig dense_twin(const ModelConfig& adaptive) {
  const ModelConfig defaults;
  auto dense = adaptive;
  dense.max_loops = defaults.max_loops;
  dense.loop_scale_kind = defaults.loop_scale_kind;
  dense.loop_scale_init = defaults.loop_scale_init;
  dense.first_loop_scale_init = defaults.first_loop_scale_init;
  dense.router_bias_init = defaults.router_bias_init;
  dense.ponder_weight = defaults.ponder_weight;
  dense.local_memory_slots = defaults.local_memory_slots;
  dense.global_memory_slots = defaults.global_memory_slots;
  dense.memory_gate_bias_init = defaults.memory_gate_bias_init;
  return dense;
}

MatchedBaseline match_baseline(const ModelConfig& adaptive, const MatchOptions& options) {
  auto checked = adaptive;
  checked.validate();
  check(checked, options);
  MatchedBaseline baseline;
  baseline.model = widen(checked, options.step);
  if (options.by == MatchBy::kFlops) {
    baseline.model = deepen(checked, baseline.model, options.sequence_length);
  }
  baseline.model.validate();
  baseline.parameters = {num_parameters(checked), num_parameters(baseline.model)};
  baseline.forward_flops = {forward_flops(checked, options.sequence_length),
                            forward_flops(baseline.model, options.sequence_length)};
  return baseline;
}

nlohmann::ordered_json residuals_to_json(const MatchedBaseline& baseline) {
  return {{"parameters", figure_to_json(baseline.parameters)},
          {"forward_flops", figure_to_json(baseline.forward_flops)}};
}

}  // namespace loopbank
