// Question 4: which layers loop and read memory most, from the look inside the models.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "loopbank/study/answers.h"

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
  /// +1 where the later half of the layers has more, -1 where less, 0 where both are alike.
  [[nodiscard]] int trend() const {
    const auto half = static_cast<std::ptrdiff_t>(values.size() / 2);
    const double change = mean_of({values.end() - half, values.end()}) -
                          mean_of({values.begin(), values.begin() + half});
    return change > alike ? 1 : change < -alike ? -1 : 0;
  }
};

/// Of [L][N], the mean over loops.
std::vector<double> means_of_rows(const Json& rows) {
  std::vector<double> means;
  if (rows.is_array()) {
    for (const auto& row : rows) {
      if (const auto values = numbers(row); !values.empty()) {
        means.push_back(mean_of(values));
      }
    }
  }
  return means;
}

/// What every adaptive model of the paper's has by layer under a key of `inside`.
std::vector<LayerQuantity> by_layer(const Json& part, const char* key) {
  std::vector<LayerQuantity> models;
  const bool loops = std::string_view(key) == "expected_loops";
  for (const auto* system : systems_of(part, {"paper", "own"})) {
    const auto& value = member(member(member(part, "inside"), text_at(*system, "name")), key);
    auto values = loops ? numbers(value) : means_of_rows(member(value, "mean"));
    if (is_adaptive(*system) && values.size() > 1) {
      models.push_back({label_of(*system), std::move(values), loops ? kAlikeLoops : kAlikeGates});
    }
  }
  return models;
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
  const double mean = mean_of(all);
  double squares = 0.0;
  for (const double value : all) {
    squares += (value - mean) * (value - mean);
  }
  const auto trends = trends_of(models);
  const auto& example = widest(models);
  return fmt::format(
      "{} gates are open to {:.2f} +- {:.2f} across layers (the paper: {}), wider in the later "
      "half{}; they differ most in {}: {:.2f} in layer {}, {:.2f} in layer {}. ",
      name, mean, std::sqrt(squares / static_cast<double>(all.size())), paper,
      count_of(trends, models.size(), "narrower"), example.label, example.values[example.least()],
      example.least() + 1, example.values[example.most()], example.most() + 1);
}

/// `Of the kinds of tokens, digits loop most (1.90 loops) and punctuation least (1.20).`
std::string describe_classes(const Json& part) {
  std::vector<std::pair<std::string, std::vector<double>>> classes;
  for (const auto* system : systems_of(part, {"paper", "own"})) {
    const auto& inside = member(member(part, "inside"), text_at(*system, "name"));
    for (const auto& token_class : member(inside, "token_classes")) {
      const auto loops = numbers(member(token_class, "expected_loops"));
      if (!is_adaptive(*system) || loops.empty()) {
        continue;
      }
      const auto name = text_at(token_class, "name");
      auto found = std::find_if(classes.begin(), classes.end(),
                                [&](const auto& entry) { return entry.first == name; });
      if (found == classes.end()) {
        found = classes.insert(found, {name, {}});
      }
      found->second.push_back(mean_of(loops));
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

Answer answer_inside(const Json& part) {
  const auto loops = by_layer(part, "expected_loops");
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
  answer.more = describe_gates(by_layer(part, "local_gate"), "Local", "0.42 +- 0.13") +
                describe_gates(by_layer(part, "global_gate"), "Global", "0.30 +- 0.03") +
                describe_classes(part);
  return answer;
}

}  // namespace loopbank
