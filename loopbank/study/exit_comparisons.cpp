/// Questions to a study of exits, each a pair of rules that differ in one respect.

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "loopbank/study/exit_conclusions.h"

namespace loopbank {
namespace {

constexpr double kNearFlops = 0.05;  // of the FLOPs of all: how far a threshold may be from another
constexpr uint64_t kPairSeed = 2;
constexpr int64_t kPairResamples = 2000;
constexpr std::array<std::string_view, 2> kOfTheGate = {"cdf", "router"};
constexpr std::array<std::string_view, 5> kWithoutGate = {"change", "accel", "entropy", "kl",
                                                          "budget"};

/// What every model makes of every document at one point, and what it takes for it.
struct ExitPoint {
  std::string rule;
  std::vector<std::vector<double>> documents;  // by model
  std::vector<double> flops;                   // of a token, by model
};

ExitPoint point_of(const ExitResult& result) {
  ExitPoint point{.rule = result.rule, .documents = {}, .flops = {}};
  const auto add = [&](const ExitResult& of_model) {
    point.documents.push_back(of_model.document_bpb);
    point.flops.push_back(of_model.flops_per_token);
  };
  if (result.by_model.empty()) {
    add(result);
  }
  for (const auto& of_model : result.by_model) {
    add(of_model);
  }
  return point;
}

void add_scaled(std::vector<double>& sum, const std::vector<double>& values, double weight) {
  sum.resize(values.size(), 0.0);
  for (size_t i = 0; i < values.size(); ++i) {
    sum[i] += weight * values[i];
  }
}

ExitPoint mean_point(const std::vector<ExitPoint>& points) {
  ExitPoint mean{.rule = points.front().rule, .documents = {}, .flops = {}};
  const double weight = 1.0 / static_cast<double>(points.size());
  mean.documents.resize(points.front().documents.size());
  for (const auto& point : points) {
    add_scaled(mean.flops, point.flops, weight);
    for (size_t m = 0; m < point.documents.size(); ++m) {
      add_scaled(mean.documents[m], point.documents[m], weight);
    }
  }
  return mean;
}

/// Two points of each model; b is what is judged.
using PointPair = std::pair<ExitPoint, ExitPoint>;

ExitComparison judged(ExitComparison what, const PointPair& points) {
  const auto& [a, b] = points;
  std::vector<double> of_a, of_b;
  for (size_t m = 0; m < a.documents.size(); ++m) {
    of_a.push_back(mean_of(a.documents[m]));
    of_b.push_back(mean_of(b.documents[m]));
  }
  what.flops_a = mean_of(a.flops);
  what.flops_b = mean_of(b.flops);
  what.bpb_difference = describe_difference(resample_pairs(
      pooled_documents(a.documents), pooled_documents(b.documents), kPairSeed, kPairResamples));
  what.over_seeds = difference_over_models(of_a, of_b);
  what.verdict = judged_difference(what.bpb_difference, what.over_seeds);
  return what;
}

/// A curve at the FLOPs of a point, each model at its own: a text that takes either of the two
/// nearest thresholds by chance has these bits per byte on average. Nothing where a model's curve
/// does not reach there or, if it is a rule with a threshold, has no point near.
std::optional<ExitPoint> at_flops_of(const ExitPoint& wanted, const std::vector<ExitPoint>& curve,
                                     std::string_view kind, const ExitPoint& all) {
  ExitPoint made{.rule = std::string(kind), .documents = {}, .flops = wanted.flops};
  for (size_t m = 0; m < wanted.flops.size(); ++m) {
    const double target = wanted.flops[m];
    const ExitPoint* below = nullptr;
    const ExitPoint* above = nullptr;
    for (const auto& point : curve) {
      const double flops = point.flops[m];
      if (flops <= target && (below == nullptr || flops > below->flops[m])) {
        below = &point;
      }
      if (flops >= target && (above == nullptr || flops < above->flops[m])) {
        above = &point;
      }
    }
    if (below == nullptr || above == nullptr) {
      return std::nullopt;
    }
    const double gap = above->flops[m] - below->flops[m];
    const double nearest = std::min(target - below->flops[m], above->flops[m] - target);
    if (kind != "budget" && nearest > kNearFlops * all.flops[m]) {
      return std::nullopt;
    }
    const double share = gap > 0.0 ? (target - below->flops[m]) / gap : 0.0;
    made.documents.emplace_back();
    add_scaled(made.documents.back(), below->documents[m], 1 - share);
    add_scaled(made.documents.back(), above->documents[m], share);
  }
  return made;
}

/// Pairs of one question, and what each compares.
struct Asked {
  ExitComparison what;
  PointPair points;
};

class Questions {
 public:
  explicit Questions(ExitStudy& study) : study_(study) {}

  void ask_gate(ExitWhere where) {
    const auto* all = all_of(study_, where);
    for (const auto gate : kOfTheGate) {
      for (const auto other : kWithoutGate) {
        std::vector<ExitPoint> curve = {point_of(*all)};
        for_each_soft(where, [&](const ExitResult& result) {
          if (kind_of_rule(result.rule) == other || result.rule == "budget:1") {
            curve.push_back(point_of(result));
          }
        });
        for_each_soft(where, [&](const ExitResult& result) {
          if (kind_of_rule(result.rule) != gate) {
            return;
          }
          const auto a = point_of(result);
          if (const auto b = at_flops_of(a, curve, other, curve.front());
              b && has_kind(where, other)) {
            asked_.push_back({{.question = "gate",
                               .where = where,
                               .a = a.rule,
                               .b = b->rule,
                               .bpb_difference = {}},
                              {a, *b}});
          }
        });
      }
    }
  }

  void ask_hard(ExitWhere where) {
    for_each_soft(where, [&](const ExitResult& soft) {
      for (const auto& hard : study_.results) {
        if (hard.where == where && hard.kv == "full" && hard.rule == soft.rule + ",hard") {
          asked_.push_back({{.question = "hard",
                             .where = where,
                             .a = soft.rule,
                             .b = hard.rule,
                             .bpb_difference = {}},
                            {point_of(soft), point_of(hard)}});
        }
      }
    });
  }

  void ask_prefill() {
    for (const auto& a : study_.results) {
      for (const auto& b : study_.results) {
        if (a.where == ExitWhere::kDecode && b.where == ExitWhere::kEverywhere && a.kv != "full" &&
            a.kv == b.kv && a.rule == b.rule) {
          asked_.push_back({{.question = "prefill",
                             .where = b.where,
                             .a = a.rule,
                             .b = b.rule,
                             .bpb_difference = {},
                             .kv = a.kv},
                            {point_of(a), point_of(b)}});
        }
      }
    }
  }

  /// Each pair, and the means of those of the same kinds.
  void answer() {
    std::map<std::tuple<std::string, ExitWhere, std::string, std::string, std::string>,
             std::vector<size_t>>
        groups;
    std::vector<std::vector<size_t>*> in_order;
    for (size_t i = 0; i < asked_.size(); ++i) {
      const auto& what = asked_[i].what;
      study_.comparisons.push_back(judged(what, asked_[i].points));
      auto& group =
          groups[{what.question, what.where, kind(what, what.a), kind(what, what.b), what.kv}];
      if (group.empty()) {
        in_order.push_back(&group);
      }
      group.push_back(i);
    }
    for (const auto* group : in_order) {
      std::vector<ExitPoint> of_a, of_b;
      for (const auto i : *group) {
        of_a.push_back(asked_[i].points.first);
        of_b.push_back(asked_[i].points.second);
      }
      auto what = asked_[group->front()].what;
      what.a = kind(what, what.a);
      what.b = kind(what, what.b);
      what.points = static_cast<int64_t>(group->size());
      study_.answers.push_back(judged(what, {mean_point(of_a), mean_point(of_b)}));
    }
  }

 private:
  template <typename Take>
  void for_each_soft(ExitWhere where, const Take& take) const {
    for (const auto& result : study_.results) {
      if (result.where == where && result.kv == "full" && !result.hard) {
        take(result);
      }
    }
  }

  [[nodiscard]] bool has_kind(ExitWhere where, std::string_view kind) const {
    return std::any_of(study_.results.begin(), study_.results.end(), [&](const auto& result) {
      return result.where == where && kind_of_rule(result.rule) == kind;
    });
  }

  /// What pairs are averaged by: a policy's over all rules.
  static std::string kind(const ExitComparison& what, const std::string& rule) {
    if (what.question == "prefill") {
      return "";
    }
    const std::string kind(kind_of_rule(rule));
    return rule.ends_with(",hard") ? kind + ",hard" : kind;
  }

  ExitStudy& study_;
  std::vector<Asked> asked_;
};

}  // namespace

void compare_exits(ExitStudy& study) {
  study.comparisons.clear();
  study.answers.clear();
  Questions questions(study);
  for (const auto where : kExitPlaces) {
    if (all_of(study, where) != nullptr) {
      questions.ask_gate(where);
      questions.ask_hard(where);
    }
  }
  questions.ask_prefill();
  questions.answer();
}

}  // namespace loopbank
