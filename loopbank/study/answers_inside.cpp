// Question 4: which layers loop and read memory most, from the look inside the models.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <span>

#include "loopbank/study/answers.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

// Halves of a model whose means are nearer than this are alike, however many tokens were read.
constexpr double kAlikeLoops = 0.05;
constexpr double kAlikeGates = 0.01;

/// A quantity by layer of one model.
struct LayerQuantity {
  std::string label;
  std::vector<double> values;  ///< at least two
  double alike = 0.0;

  [[nodiscard]] size_t most() const {
    return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
  }
  [[nodiscard]] size_t least() const {
    return static_cast<size_t>(std::min_element(values.begin(), values.end()) - values.begin());
  }
  [[nodiscard]] double range() const { return values[most()] - values[least()]; }
  /// What the later half of the layers has more than the earlier.
  [[nodiscard]] double lead() const {
    const auto half = values.size() / 2;
    return mean_of(std::span(values).last(half)) - mean_of(std::span(values).first(half));
  }
  /// +1 where the later half of the layers has more, -1 where less, 0 where both are alike.
  [[nodiscard]] int trend() const {
    const double change = lead();
    return change > alike ? 1 : change < -alike ? -1 : 0;
  }
};

/// The looped models that are told of.
std::vector<const SystemResult*> looped_models(const PartResult& part) {
  std::vector<const SystemResult*> models;
  for (const auto& system : part.systems) {
    if (system.is_single() && system.loops > 0 && system.inside) {
      models.push_back(&system);
    }
  }
  return models;
}

std::vector<LayerQuantity> loops_of(const std::vector<const SystemResult*>& models) {
  std::vector<LayerQuantity> loops;
  for (const auto* model : models) {
    if (model->inside->expected_loops.size() > 1) {
      loops.push_back({model->label, model->inside->expected_loops, kAlikeLoops});
    }
  }
  return loops;
}

/// How many loops the later half of the layers ran more than the earlier at the end of training, mean
/// over the models, by seed: of the seeds that all models have.
std::vector<double> leads_by_seed(const std::vector<const SystemResult*>& models) {
  std::map<int64_t, std::vector<double>> leads;
  for (const auto* model : models) {
    for (const auto& curve : model->curves) {
      if (!curve.loops_by_layer.empty() && curve.loops_by_layer.back().size() > 1) {
        leads[curve.seed].push_back(LayerQuantity{"", curve.loops_by_layer.back()}.lead());
      }
    }
  }
  std::vector<double> means;
  for (const auto& [seed, of_models] : leads) {
    if (of_models.size() == models.size()) {
      means.push_back(mean_of(of_models));
    }
  }
  return means;
}

/// Takes an answer back to what the seeds allow: the look inside is of one of them.
void hold_to_seeds(Answer& answer, const std::vector<double>& leads) {
  if (answer.tone == Tone::kOpen) {
    return;
  }
  const auto over_seeds = student_difference(leads);
  if (!over_seeds) {
    answer.headline[0] = static_cast<char>(std::tolower(answer.headline[0]));
    answer.headline = "In one seed " + answer.headline;
    answer.tone = Tone::kOpen;
    return;
  }
  const bool rises = answer.tone == Tone::kYes;
  const bool agrees = rises ? over_seeds->low > 0.0 : over_seeds->high < 0.0;
  if (answer.tone != Tone::kPartly && !agrees) {
    answer.headline = "Not told apart";
    answer.tone = Tone::kOpen;
  }
  answer.text += fmt::format(
      " Over {} seeds, at the end of training, the later half ran {:+.2f} loops more than the "
      "earlier, "
      "mean of the models (95 % interval {:+.2f} to {:+.2f}, {}).",
      leads.size(), over_seeds->difference, over_seeds->low, over_seeds->high,
      p_text(over_seeds->p));
}

/// The mean over loops of a gate, by layer, of the layers that have it.
std::vector<LayerQuantity> gates_of(const std::vector<const SystemResult*>& models,
                                    std::optional<GateStatistics> Inside::*gate) {
  std::vector<LayerQuantity> gates;
  for (const auto* model : models) {
    ByLayer means;
    const auto& found = *model->inside.*gate;
    for (const auto& by_loop : found ? found->mean : ByLayerAndLoop()) {
      if (!by_loop.empty()) {
        means.push_back(mean_of(by_loop));
      }
    }
    if (means.size() > 1) {
      gates.push_back({model->label, std::move(means), kAlikeGates});
    }
  }
  return gates;
}

struct Trends {
  size_t rising = 0;
  size_t falling = 0;
};

Trends trends_of(const std::vector<LayerQuantity>& models) {
  Trends trends;
  for (const auto& model : models) {
    trends.rising += model.trend() > 0 ? 1 : 0;
    trends.falling += model.trend() < 0 ? 1 : 0;
  }
  return trends;
}

const LayerQuantity& widest(const std::vector<LayerQuantity>& models) {
  return *std::max_element(
      models.begin(), models.end(),
      [](const LayerQuantity& a, const LayerQuantity& b) { return a.range() < b.range(); });
}

/// ` in 5 of 6 models and less in 1`; the second half only where there is one.
std::string count_of(const Trends& trends, size_t all, const char* opposite) {
  auto text = fmt::format(" in {} of {} models", trends.rising, all);
  return trends.falling == 0 ? text : text + fmt::format(" and {} in {}", opposite, trends.falling);
}

std::string describe_loops(const std::vector<LayerQuantity>& models) {
  const auto trends = trends_of(models);
  const auto& example = widest(models);
  auto text = "The later half of the layers loops more than the earlier half" +
              count_of(trends, models.size(), "less");
  text += trends.rising == models.size() ? ", as in the paper."
                                         : "; in the paper late layers loop most.";
  if (example.range() > kAlikeLoops) {
    text += fmt::format(" Layers differ most in {}: {:.2f} loops in layer {}, {:.2f} in layer {}.",
                        example.label, example.values[example.least()], example.least() + 1,
                        example.values[example.most()], example.most() + 1);
  }
  return text;
}

/// `Local gates are open to 0.41 +- 0.12 across layers (paper: ...), widest in layer 4 ...`
std::string describe_gates(const std::vector<LayerQuantity>& models, const char* name,
                           const char* paper) {
  if (models.empty()) {
    return "";
  }
  std::vector<double> all;
  for (const auto& model : models) {
    all.insert(all.end(), model.values.begin(), model.values.end());
  }
  const auto trends = trends_of(models);
  const auto& example = widest(models);
  return fmt::format(
      "{} gates are open to {:.2f} +- {:.2f} across layers (the paper: {}), wider in the later "
      "half{}; they differ most in {}: {:.2f} in layer {}, {:.2f} in layer {}. ",
      name, mean_of(all), deviation_of(all), paper, count_of(trends, models.size(), "narrower"),
      example.label, example.values[example.least()], example.least() + 1,
      example.values[example.most()], example.most() + 1);
}

/// `Of the kinds of tokens, digits loop most (1.90 loops) and punctuation least (1.20).`
std::string describe_classes(const std::vector<const SystemResult*>& models) {
  std::vector<std::pair<std::string_view, std::vector<double>>> classes;
  for (const auto* model : models) {
    for (const auto& token_class : model->inside->token_classes) {
      if (token_class.expected_loops.empty()) {
        continue;
      }
      const auto name = token_class_name(token_class.token_class);
      auto found = std::find_if(classes.begin(), classes.end(),
                                [&](const auto& entry) { return entry.first == name; });
      if (found == classes.end()) {
        found = classes.insert(found, {name, {}});
      }
      found->second.push_back(mean_of(token_class.expected_loops));
    }
  }
  if (classes.size() < 2) {
    return "";
  }
  const auto [least, most] = std::minmax_element(
      classes.begin(), classes.end(),
      [](const auto& a, const auto& b) { return mean_of(a.second) < mean_of(b.second); });
  if (mean_of(most->second) - mean_of(least->second) < kAlikeLoops) {
    return "All kinds of tokens loop about as often.";
  }
  return fmt::format(
      "Of the kinds of tokens, \"{}\" loop most ({:.2f} loops) and \"{}\" least ({:.2f}).",
      most->first, mean_of(most->second), least->first, mean_of(least->second));
}

}  // namespace

Answer answer_inside(const PartResult& part) {
  const auto models = looped_models(part);
  const auto loops = loops_of(models);
  if (loops.empty()) {
    return {.text = "It takes a look inside a looped model of at least two layers."};
  }
  Answer answer;
  const auto trends = trends_of(loops);
  if (trends.rising == loops.size()) {
    answer.tone = Tone::kYes;
    answer.headline = "Late layers loop most";
  } else if (trends.falling == loops.size()) {
    answer.tone = Tone::kNo;
    answer.headline = "Early layers loop most";
  } else if (trends.rising + trends.falling == 0) {
    answer.tone = Tone::kOpen;
    answer.headline = "All layers loop alike";
  } else {
    answer.tone = Tone::kPartly;
    answer.headline = "It differs by model";
  }
  answer.text = describe_loops(loops);
  hold_to_seeds(answer, leads_by_seed(models));
  answer.more = describe_gates(gates_of(models, &Inside::local_gate), "Local", "0.42 +- 0.13") +
                describe_gates(gates_of(models, &Inside::global_gate), "Global", "0.30 +- 0.03") +
                describe_classes(models);
  return answer;
}

}  // namespace loopbank
