#include "loopbank/study/rank_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "loopbank/support/error.h"
#include "loopbank/support/progress.h"
#include "loopbank/train/batch_step.h"

namespace loopbank {
namespace {

constexpr double kGradientBytes = 4.0;       // fp32
constexpr double kForwardAndBackward = 3.0;  // of the forward pass
constexpr double kMostBucketBytes = 25e6;
constexpr double kFewestBuckets = 8.0;
constexpr double kStepBytes = 28.0;  // parameter, gradient, moments; written: all but one
constexpr double kCopyBytes = 6.0;   // fp32 read, bf16 written
constexpr double kMilli = 1e3;

double number(int64_t value) {
  return static_cast<double>(value);
}

double part(const CostByPart& cost, std::string_view name) {
  const auto found = std::find_if(cost.parts.begin(), cost.parts.end(),
                                  [&](const auto& item) { return item.first == name; });
  return found->second;
}

void expect_positive(std::string_view what, double value) {
  if (!(value > 0.0)) {
    fail(ErrorCode::kConfig, "plan: expected {} above 0, got {}.", what, value);
  }
}

/// Parameters and forward FLOPs of layer l alone.
struct LayerCost {
  double parameters = 0.0;
  double flops = 0.0;
};

LayerCost cost_of_layer(const ModelConfig& config, int64_t layer, int64_t sequence_length) {
  auto one = config;
  one.num_hidden_layers = 1;
  one.max_loops = config.loops(layer);
  if (config.loops(layer) == 0) {
    one.local_memory_slots = one.global_memory_slots = 0;
  }
  const auto cost = model_cost(one, sequence_length);
  const double width = number(config.hidden_size);
  const double outside = part(cost.parameters, "embedding") + part(cost.parameters, "head") + width;
  const double shared =
      one.global_memory_slots > 0 ? 2 * width * number(one.global_memory_slots) : 0.0;
  const double shared_norms = one.has_memory() ? 4 * width : 0.0;
  return {.parameters = cost.parameters.total() - outside - shared - shared_norms,
          .flops = cost.forward_flops.total() - part(cost.forward_flops, "head")};
}

/// What a pass takes in units of a forward pass: with the layers once more where they are computed
/// again.
double pass_over_forward(const RunConfig& config, const ModelCost& cost) {
  const double layers = 1.0 - part(cost.forward_flops, "head") / cost.forward_flops.total();
  return kForwardAndBackward + (config.training.recompute == "none" ? 0.0 : layers);
}

/// The buckets in which the gradients leave: small neighbours together, what is larger in several.
std::vector<ReadyGradients> buckets_of(const std::vector<ReadyGradients>& gradients,
                                       double most_bytes) {
  std::vector<ReadyGradients> buckets;
  ReadyGradients open;
  for (const auto& each : gradients) {
    open.bytes += each.bytes;
    open.ready = each.ready;
    if (open.bytes >= most_bytes) {
      const auto count = each.is_one ? 1 : static_cast<int64_t>(open.bytes / most_bytes);
      buckets.insert(buckets.end(), static_cast<size_t>(count),
                     {.bytes = open.bytes / number(count), .ready = open.ready});
      open = {};
    }
  }
  if (open.bytes > 0.0) {
    buckets.push_back(open);
  }
  return buckets;
}

/// Fills in what the exchanges take and what the step waits for.
void add_exchanges(RankPlan& plan, const RunConfig& config, const RankPlanOptions& options,
                   double backward_seconds, double parameters) {
  if (plan.ranks == 1) {
    plan.overlap = 1.0;
    return;
  }
  // An all-reduce is a sum of slices and a gathering of them.
  const double rounds = options.shards_optimizer ? 1.0 : 2.0;
  double end = 0.0;
  const auto gradients = gradients_in_order(config.model, config.training.sequence_length);
  for (const auto& bucket : buckets_of(gradients, bucket_bytes(parameters))) {
    const double seconds = rounds * exchange_seconds(bucket.bytes, plan.ranks, options.network);
    end = std::max(end, bucket.ready * backward_seconds) + seconds;
    plan.exchange_seconds += seconds;
  }
  const double after = std::min(end - backward_seconds, plan.exchange_seconds);
  const double beside = plan.exchange_seconds - after;
  plan.waited_seconds = after + (1.0 - options.network.free_share) * beside;
  if (options.shards_optimizer) {  // the new weights, bucket by bucket
    const double gather = plan.exchange_seconds;
    plan.exchange_seconds += gather;
    plan.waited_seconds += gather;
  }
  plan.overlap = 1.0 - plan.waited_seconds / plan.exchange_seconds;
}

double seconds_of_optimizer(const RunConfig& config, const RankPlanOptions& options,
                            double parameters, int64_t ranks) {
  if (options.device.memory_bandwidth <= 0.0) {
    return 0.0;
  }
  const double share = options.shards_optimizer ? 1.0 / number(ranks) : 1.0;
  const bool copies_weights =
      config.training.precision == "bf16" && config.training.device.starts_with("cuda");
  const double copies = copies_weights ? kCopyBytes : 0.0;
  return parameters * (kStepBytes * share + copies) / options.device.memory_bandwidth;
}

}  // namespace

double flops_of_pass(const RunConfig& config) {
  const auto cost = model_cost(config.model, config.training.sequence_length);
  return cost.forward_flops.total() * pass_over_forward(config, cost);
}

std::vector<ReadyGradients> gradients_in_order(const ModelConfig& config, int64_t sequence_length) {
  const auto cost = model_cost(config, sequence_length);
  const double all = cost.forward_flops.total();
  double done = part(cost.forward_flops, "head") / all;
  double told = part(cost.parameters, "embedding");
  const double head = part(cost.parameters, "head");
  std::vector<ReadyGradients> gradients;
  const auto add = [&](double parameters, bool is_one = false) {
    gradients.push_back(
        {.bytes = kGradientBytes * parameters, .ready = std::min(done, 1.0), .is_one = is_one});
  };
  add(head + number(config.hidden_size), /*is_one=*/true);  // with the final norm
  told += head + number(config.hidden_size);
  for (int64_t layer = config.num_hidden_layers - 1; layer >= 0; --layer) {
    const auto own = cost_of_layer(config, layer, sequence_length);
    done += own.flops / all;
    add(own.parameters);
    told += own.parameters;
  }
  done = 1.0;
  add(cost.parameters.total() - told);  // the global bank and its norms
  add(part(cost.parameters, "embedding"), /*is_one=*/true);
  std::erase_if(gradients, [](const auto& each) { return each.bytes < 1.0; });
  return gradients;
}

double bucket_bytes(double parameters) {
  return std::min(kMostBucketBytes, kGradientBytes * parameters / kFewestBuckets);
}

double exchange_seconds(double bytes, int64_t ranks, const RankNetwork& network) {
  if (ranks <= 1) {
    return 0.0;
  }
  const double n = number(ranks);
  const double node = number(std::min(ranks, network.ranks_a_node));
  const double within = network.node_bandwidth > 0.0 ? network.node_bandwidth : network.bandwidth;
  const bool crosses = n > node;
  if (network.order == SumOrder::kRing) {
    const double inside = node > 1 ? (n - 1) / n * bytes / within : 0.0;
    const double across = crosses ? (n - 1) / n * bytes / (node * network.bandwidth) : 0.0;
    return std::max(1.0, n / node - 1) * network.latency_seconds + std::max(inside, across);
  }
  const double inside = (node - 1) / n * bytes / within;
  const double across = crosses ? (n - node) / n * bytes / network.bandwidth : 0.0;
  return network.latency_seconds + std::max(inside, across);
}

RankPlan plan_ranks(const RunConfig& config, int64_t ranks, const RankPlanOptions& options) {
  expect_positive("ranks", number(ranks));
  expect_positive("sequences a step (training.batch)", number(config.training.batch));
  expect_positive("FLOP/s of a rank", options.device.flops);
  if (ranks > 1) {
    expect_positive("bytes a second between ranks", options.network.bandwidth);
  }
  const auto& training = config.training;
  const auto cost = model_cost(config.model, training.sequence_length);
  const double parameters = cost.parameters.total();
  RankPlan plan{.ranks = ranks, .rows_a_pass = rows_a_pass(config.training, ranks)};
  const int64_t all_passes = training.batch / plan.rows_a_pass;
  plan.passes = passes_of(training, /*rank=*/0, ranks).count;
  plan.idle_ranks = std::max<int64_t>(0, ranks - all_passes);
  const double times = pass_over_forward(config, cost);
  const double pass = number(plan.rows_a_pass * training.sequence_length) *
                      cost.forward_flops.total() * times / options.device.flops;
  plan.compute_seconds = number(plan.passes) * pass;
  plan.optimizer_seconds = seconds_of_optimizer(config, options, parameters, ranks);
  add_exchanges(plan, config, options, pass * (times - 1) / times, parameters);
  plan.step_seconds = plan.compute_seconds + plan.optimizer_seconds + plan.waited_seconds;
  const double tokens = number(training.batch * training.sequence_length);
  plan.tokens_per_second = tokens / plan.step_seconds;
  plan.communication_share = plan.waited_seconds / plan.step_seconds;
  const double alone =
      number(all_passes) * pass + seconds_of_optimizer(config, options, parameters, 1);
  plan.efficiency = alone / (number(ranks) * plan.step_seconds);
  plan.run_seconds = number(training.steps) * plan.step_seconds;
  plan.memory = run_memory(config, {ranks, options.shards_optimizer});
  plan.unsharded_bytes = run_memory(config, {ranks, /*shards_optimizer=*/false}).total();
  return plan;
}

nlohmann::ordered_json to_json(const RankPlan& plan) {
  return {{"ranks", plan.ranks},
          {"rows_a_pass", plan.rows_a_pass},
          {"passes_a_rank", plan.passes},
          {"idle_ranks", plan.idle_ranks},
          {"step_seconds", plan.step_seconds},
          {"compute_seconds", plan.compute_seconds},
          {"optimizer_seconds", plan.optimizer_seconds},
          {"exchange_seconds", plan.exchange_seconds},
          {"waited_seconds", plan.waited_seconds},
          {"tokens_per_second", plan.tokens_per_second},
          {"communication_share", plan.communication_share},
          {"overlap", plan.overlap},
          {"efficiency", plan.efficiency},
          {"run_seconds", plan.run_seconds},
          {"memory_bytes", to_json(plan.memory)},
          {"memory_bytes_unsharded", plan.unsharded_bytes}};
}

std::string describe(const std::vector<RankPlan>& plans) {
  auto text = fmt::format(
      "{:>6} {:>5} {:>7} {:>10} {:>10} {:>10} {:>10} {:>7} {:>8} {:>10} {:>10} {:>9} {:>9} {:>9}\n",
      "ranks", "rows", "passes", "step ms", "compute", "exchange", "waited", "share", "overlap",
      "tokens/s", "efficiency", "memory", "unsharded", "run");
  for (const auto& plan : plans) {
    text += fmt::format(
        "{:>6} {:>5} {:>7} {:>10.1f} {:>10.1f} {:>10.1f} {:>10.1f} {:>5.1f} % {:>8.2f} {:>10} "
        "{:>10.3f} "
        "{:>9} {:>9} {:>9}\n",
        plan.ranks, plan.rows_a_pass, plan.passes, kMilli * plan.step_seconds,
        kMilli * plan.compute_seconds, kMilli * plan.exchange_seconds, kMilli * plan.waited_seconds,
        100 * plan.communication_share, plan.overlap, format_count(plan.tokens_per_second),
        plan.efficiency, format_bytes(plan.memory.total()), format_bytes(plan.unsharded_bytes),
        plan.run_seconds > 0 ? format_duration(plan.run_seconds) : "-");
  }
  for (const auto& plan : plans) {
    if (plan.idle_ranks > 0) {
      text += fmt::format("{} of {} ranks have no pass: the batch has {}.\n", plan.idle_ranks,
                          plan.ranks, plan.ranks - plan.idle_ranks);
    }
  }
  return text;
}

}  // namespace loopbank
