#include "loopbank/train/alarm_rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace loopbank {
namespace {

using Json = nlohmann::json;

constexpr std::array kWords = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"loops_at_one", "tokens stop after the first loop"},
    {"loops_at_most", "no token stops before the last loop"},
    {"loops_do_nothing", "loops behind the first do not change the loss"},
    {"loops_change_nothing", "loops behind the first do not change the state"},
    {"memory_does_nothing", "memory banks do not change the loss"},
    {"local_memory_read_uniformly", "all slots of the local bank are read alike"},
    {"global_memory_read_uniformly", "all slots of the global bank are read alike"},
    {"local_gates_at_zero", "local gates are shut"},
    {"local_gates_at_one", "local gates are wide open"},
    {"global_gates_at_zero", "global gates are shut"},
    {"global_gates_at_one", "global gates are wide open"},
    {"router_without_gradient", "routers have no gradient"},
});

double number_of(const Json& value) {
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

/// The values of these layers in a list of one a layer.
std::vector<double> values_of(const Json& row, const char* key,
                              const std::vector<int64_t>& layers) {
  std::vector<double> values;
  const auto list = row.find(key);
  if (list == row.end() || !list->is_array()) {
    return values;
  }
  for (const auto layer : layers) {
    const auto place = static_cast<size_t>(layer);
    values.push_back(place < list->size() ? number_of((*list)[place]) : number_of(Json()));
  }
  return values;
}

std::vector<int64_t> layers_of_loops(const ModelConfig& model, int64_t least) {
  std::vector<int64_t> layers;
  for (int64_t l = 0; l < model.num_hidden_layers; ++l) {
    if (model.loops(l) >= least) {
      layers.push_back(l);
    }
  }
  return layers;
}

/// A rule about a list of one value a layer in the rows of validations.
AlarmRule rule_by_layer(const RunConfig& config, std::string kind, const char* key,
                        std::string figure, int64_t least_loops) {
  AlarmRule rule{.kind = std::move(kind),
                 .patience = config.training.alarm_validations,
                 .figure = std::move(figure),
                 .layers = layers_of_loops(config.model, least_loops)};
  rule.read = [key, layers = rule.layers](const Json& row) {
    return row.contains("validation_loss") ? values_of(row, key, layers) : std::vector<double>{};
  };
  return rule;
}

/// A rule about one value of the whole model in the rows of validations.
AlarmRule rule_of_model(const RunConfig& config, std::string kind, std::string figure) {
  return {.kind = std::move(kind),
          .patience = config.training.alarm_validations,
          .figure = std::move(figure),
          .layers = {0},
          .is_whole_model = true};
}

std::string first_scale(const ModelConfig& model) {
  return model.first_loop_scale_init ? fmt::format("{}", *model.first_loop_scale_init) : "unset";
}

std::string how_scales_start(const RunConfig& config) {
  return fmt::format(
      "model.loop_scale_init ({}), model.first_loop_scale_init ({}), "
      "optimizer.loop_scale_multiplier ({})",
      config.model.loop_scale_init, first_scale(config.model),
      config.optimizer.loop_scale_multiplier);
}

// Halting

AlarmRule halting_rule(const RunConfig& config, std::string kind) {
  const auto layers = layers_of_loops(config.model, 2);
  return {.kind = std::move(kind),
          .patience = config.training.halting_alarm_steps,
          .figure = "mean_loops",
          .layers = layers,
          .read = [layers](const Json& row) {
            return row.contains("loss") ? values_of(row, "loops_by_layer", layers)
                                        : std::vector<double>{};
          }};
}

/// (n - 1) / (N - 1) of a mean n of a watched layer.
std::function<double(size_t, double)> share_of_loops(const RunConfig& config,
                                                     const std::vector<int64_t>& layers) {
  std::vector<double> further;
  for (const auto layer : layers) {
    further.push_back(static_cast<double>(config.model.loops(layer) - 1));
  }
  return [further](size_t place, double n) { return (n - 1.0) / further.at(place); };
}

AlarmRule loops_at_one(const RunConfig& config) {
  const auto& model = config.model;
  auto rule = halting_rule(config, "loops_at_one");
  rule.is_dead = [share = share_of_loops(config, rule.layers)](size_t place, double n) {
    return share(place, n) <= kHaltingTolerance;
  };
  const auto pull = model.ponder_weight > 0.0
                        ? fmt::format("lower model.ponder_weight ({}), ", model.ponder_weight)
                        : std::string();
  rule.meaning = fmt::format(
      "tokens stop after their first loop, the others do no work. In a new run {}start with "
      "model.router_bias_init ({}) further below 0, or with loops that change the state: "
      "model.loop_scale_init ({}), model.first_loop_scale_init ({})",
      pull, model.router_bias_init, model.loop_scale_init, first_scale(model));
  return rule;
}

AlarmRule loops_at_most(const RunConfig& config) {
  auto rule = halting_rule(config, "loops_at_most");
  rule.is_dead = [share = share_of_loops(config, rule.layers)](size_t place, double n) {
    return share(place, n) >= 1.0 - kHaltingTolerance;
  };
  rule.meaning = fmt::format(
      "no token stops early, each costs all its loops. In a new run raise model.ponder_weight "
      "({}) or start with model.router_bias_init ({}) nearer to 0",
      config.model.ponder_weight, config.model.router_bias_init);
  return rule;
}

// Loops

/// Largest difference of a loop budget's loss from that of one loop.
std::vector<double> loss_of_loops(const Json& row) {
  const auto by_loops = row.find("validation_loss_by_loops");
  if (by_loops == row.end() || !by_loops->is_object() || !by_loops->contains("1")) {
    return {};
  }
  const double one = number_of(by_loops->at("1"));
  double most = 0.0;
  for (const auto& [loops, loss] : by_loops->items()) {
    const double difference = std::abs(number_of(loss) - one);
    most = std::isfinite(difference) ? std::max(most, difference) : difference;
    if (!std::isfinite(most)) {
      break;
    }
  }
  return {most};
}

/// The layers whose loops behind the first have scales near 0, and the largest of these scales.
std::string dead_scales(const Json& row) {
  std::vector<size_t> layers;
  double most = 0.0;
  const auto by_layer = row.find("loop_scale_by_layer");
  for (size_t l = 0; by_layer != row.end() && l < by_layer->size(); ++l) {
    double largest = 0.0;
    const auto& scales = (*by_layer)[l];
    for (size_t t = 1; t < scales.size(); ++t) {
      largest = std::max(largest, std::abs(number_of(scales[t])));
    }
    if (scales.size() > 1 && largest < kDeadScale) {
      layers.push_back(l + 1);  // as people count them
      most = std::max(most, largest);
    }
  }
  return layers.empty() ? ""
                        : fmt::format(
                              "the loop scales behind the first are at most {:.2g} in "
                              "layer{} {}",
                              most, layers.size() > 1 ? "s" : "", fmt::join(layers, ", "));
}

AlarmRule loops_do_nothing(const RunConfig& config) {
  auto rule = rule_of_model(config, "loops_do_nothing", "loss_difference");
  rule.read = loss_of_loops;
  rule.is_dead = [](size_t, double difference) { return difference < kLoopsTolerance; };
  rule.meaning = fmt::format(
      "with one loop the loss is that with all, the model is one of one loop. In a new run start "
      "with loops that change the state: {}",
      how_scales_start(config));
  rule.cause = dead_scales;
  return rule;
}

AlarmRule loops_change_nothing(const RunConfig& config) {
  auto rule =
      rule_by_layer(config, "loops_change_nothing", "loop_change_by_layer", "state_change", 2);
  rule.is_dead = [](size_t, double change) { return change < kLoopChangeTolerance; };
  rule.meaning = fmt::format(
      "the loops behind the first leave the state as it is. In a new run start with loops that "
      "change it: {}",
      how_scales_start(config));
  rule.cause = dead_scales;
  return rule;
}

// Memory

AlarmRule memory_does_nothing(const RunConfig& config) {
  auto rule = rule_of_model(config, "memory_does_nothing", "loss_difference");
  rule.read = [](const Json& row) {
    return row.contains("validation_loss_without_memory")
               ? std::vector<double>{number_of(row["validation_loss_without_memory"]) -
                                     number_of(row.value("validation_loss", Json()))}
               : std::vector<double>{};
  };
  rule.is_dead = [](size_t, double difference) { return std::abs(difference) < kMemoryTolerance; };
  rule.meaning = fmt::format(
      "without its banks the model has the same loss. In a new run start with gates that are open, "
      "model.memory_gate_bias_init ({}), or let the banks learn faster: "
      "optimizer.memory_multiplier ({}), optimizer.memory_gate_multiplier ({})",
      config.model.memory_gate_bias_init, config.optimizer.memory_multiplier,
      config.optimizer.memory_gate_multiplier);
  return rule;
}

AlarmRule read_uniformly(const RunConfig& config, const std::string& bank) {
  auto rule =
      rule_by_layer(config, bank + "_memory_read_uniformly",
                    bank == "local" ? "local_focus_by_layer" : "global_focus_by_layer", "focus", 1);
  rule.is_dead = [](size_t, double focus) { return focus < kFocusTolerance; };
  rule.meaning = fmt::format(
      "all slots of the {} bank weigh the same, every token reads their mean. In a new run let the "
      "keys learn faster, optimizer.memory_multiplier ({}), or take fewer slots",
      bank, config.optimizer.memory_multiplier);
  return rule;
}

AlarmRule gates_at(const RunConfig& config, const std::string& bank, bool at_one) {
  auto rule =
      rule_by_layer(config, bank + (at_one ? "_gates_at_one" : "_gates_at_zero"),
                    bank == "local" ? "local_gate_by_layer" : "global_gate_by_layer", "gate", 1);
  rule.is_dead = [at_one](size_t, double gate) {
    return at_one ? gate > 1.0 - kGateTolerance : gate < kGateTolerance;
  };
  rule.meaning = fmt::format(
      "the gate of the {} bank is {} for all tokens, where its sigmoid has next to no gradient. In "
      "a new run start with model.memory_gate_bias_init ({}) nearer to 0, or with another "
      "optimizer.memory_gate_multiplier ({})",
      bank, at_one ? "open" : "shut", config.model.memory_gate_bias_init,
      config.optimizer.memory_gate_multiplier);
  return rule;
}

AlarmRule router_without_gradient(const RunConfig& config) {
  auto rule =
      rule_by_layer(config, "router_without_gradient", "router_gradient_by_layer", "gradient", 2);
  rule.is_dead = [](size_t, double gradient) { return gradient < kRouterGradientTolerance; };
  rule.meaning = fmt::format(
      "the router cannot learn when to stop: its sigmoid is at an end, or the loops that it "
      "chooses "
      "between are alike. In a new run start with model.router_bias_init ({}) nearer to 0, or with "
      "loops that change the state: {}",
      config.model.router_bias_init, how_scales_start(config));
  rule.cause = dead_scales;
  return rule;
}

}  // namespace

std::vector<AlarmRule> alarm_rules(const RunConfig& config) {
  const auto& model = config.model;
  std::vector<AlarmRule> rules;
  if (model.most_loops() > 1) {
    rules = {loops_at_one(config), loops_at_most(config), loops_do_nothing(config),
             loops_change_nothing(config), router_without_gradient(config)};
  }
  if (model.has_memory()) {
    rules.push_back(memory_does_nothing(config));
  }
  const std::array banks = {std::pair<const char*, int64_t>{"local", model.local_memory_slots},
                            std::pair<const char*, int64_t>{"global", model.global_memory_slots}};
  for (const auto& [bank, slots] : banks) {
    if (model.has_memory() && slots > 0) {
      rules.push_back(gates_at(config, bank, /*at_one=*/false));
      rules.push_back(gates_at(config, bank, /*at_one=*/true));
    }
    if (model.has_memory() && slots > 1) {
      rules.push_back(read_uniformly(config, bank));
    }
  }
  return rules;
}

std::string alarm_words(std::string_view kind) {
  const auto* const found = std::find_if(kWords.begin(), kWords.end(),
                                         [&](const auto& one) { return one.first == kind; });
  return std::string(found == kWords.end() ? kind : found->second);
}

}  // namespace loopbank
