#include "loopbank/model/early_exit.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "loopbank/ops/rows.h"

namespace loopbank {
namespace {

/// The values of [r], in fp64.
std::vector<double> values_of(const at::Tensor& x) {
  const auto values = x.to(at::kCPU, at::kDouble).contiguous();
  const auto* first = values.data_ptr<double>();
  return {first, first + values.numel()};
}

std::vector<int64_t> at_places(const std::vector<int64_t>& values,
                               const std::vector<int64_t>& places) {
  std::vector<int64_t> result;
  result.reserve(places.size());
  for (const auto place : places) {
    result.push_back(values[static_cast<size_t>(place)]);
  }
  return result;
}

/// Those of some rows.
ops::RotaryTable angles_at(const ops::RotaryTable& angles, const std::vector<int64_t>& places) {
  return {.cosines = ops::gather_rows(angles.cosines, places),
          .sines = ops::gather_rows(angles.sines, places)};
}

}  // namespace

EarlyExit::EarlyExit(const at::Tensor& x, const Halting& halting, int64_t num_loops,
                     const Place& place, LateKeys late_keys)
    : halting_(halting),
      num_loops_(place.pass.loops(num_loops)),
      place_(place),
      late_keys_(std::move(late_keys)),
      y_(at::zeros({x.size(1), x.size(2)}, x.options())),
      n_(at::zeros({x.size(1)}, x.options().device(at::kCPU))) {
  const auto& exits = place.pass.context()->exits();
  reads_changes_ = std::any_of(exits.begin(), exits.end(), [](const TokenExit& exit) {
    return exit.rule != nullptr && exit.rule->reads_changes();
  });
  thinking_.rows.resize(exits.size());
  std::iota(thinking_.rows.begin(), thinking_.rows.end(), 0);
  thinking_.angles = place.pass.angles;
  if (reads_changes_) {
    before_ = x;
  }
}

bool EarlyExit::runs(int64_t t) const {
  return t <= num_loops_ && !thinking_.rows.empty();
}

Place EarlyExit::place(int64_t t) const {
  auto at = place_.at_loop(t);
  at.thinking = &thinking_;
  return at;
}

at::Tensor EarlyExit::after_loop(int64_t t, const at::Tensor& h, const at::Tensor& logit) {
  logits_.push_back(logit);
  ran_.push_back({h[0], thinking_.rows});
  const auto decision = decide(t, h);
  mix(t, decision.left);
  tell_context(t, decision, h);
  if (decision.left.empty()) {
    return h;
  }
  keep(decision.stayed);
  return ops::gather_rows(h[0], decision.stayed).unsqueeze(0);
}

EarlyExit::Decision EarlyExit::decide(int64_t t, const at::Tensor& h) {
  // Were there one more loop, it would take the rest: P_1, ..., P_t, 1 - C_t.
  auto logits = logits_;
  logits.push_back(logits.back());
  const auto halting = halting_.distribution(logits).to(at::kCPU, at::kFloat);  // [t + 1, 1, r]
  const auto r = static_cast<size_t>(halting.size(2));
  const auto* here = halting[t - 1].data_ptr<float>();
  const auto* rest = halting[t].data_ptr<float>();
  const auto logit = logits_.back().to(at::kCPU, at::kFloat).contiguous();
  const auto* last_logit = logit.data_ptr<float>();
  const auto moved = reads_changes_ ? changes(h) : Changes{};
  const auto& exits = place_.pass.context()->exits();
  head_.read(place_.pass, t, h[0], exits, thinking_.rows, here, rest, num_loops_);
  Decision decision;
  decision.weights.resize(r);
  for (size_t i = 0; i < r; ++i) {
    const auto& exit = exits[static_cast<size_t>(thinking_.rows[i])];
    const auto last = exit.max_loops > 0 ? std::min(exit.max_loops, num_loops_) : num_loops_;
    bool leaves = t >= last;
    if (!leaves && exit.rule != nullptr) {
      AfterLoop token{.t = t,
                      .p = 1.0 / (1.0 + std::exp(-static_cast<double>(last_logit[i]))),
                      .cumulative = 1.0 - static_cast<double>(rest[i])};
      if (reads_changes_) {
        token.change = moved.change[i];
        token.acceleration = moved.acceleration[i];
      }
      head_.tell(i, token);
      leaves = exit.rule->leaves(token);
    }
    decision.weights[i] = leaves ? here[i] + rest[i] : here[i];
    (leaves ? decision.left : decision.stayed).push_back(static_cast<int64_t>(i));
  }
  return decision;
}

EarlyExit::Changes EarlyExit::changes(const at::Tensor& h) {
  Changes result{.change = values_of(ops::relative_change(h[0], before_[0])), .acceleration = {}};
  if (earlier_.defined()) {
    result.acceleration = values_of(ops::relative_acceleration(h[0], before_[0], earlier_[0]));
  } else {
    result.acceleration.assign(result.change.size(), std::numeric_limits<double>::infinity());
  }
  earlier_ = std::exchange(before_, h);
  return result;
}

void EarlyExit::mix(int64_t t, const std::vector<int64_t>& left) {
  if (left.empty()) {
    return;
  }
  // The loops that were run are all that there are: the last takes the rest.
  const auto halting = halting_.distribution(logits_).to(at::kCPU, at::kFloat).contiguous();
  const auto* const p = halting.data_ptr<float>();  // P [t, 1, r]
  const auto r = halting.size(2);
  const auto& exits = place_.pass.context()->exits();
  const auto rows = at_places(thinking_.rows, left);
  std::vector<float> weights(left.size());
  for (int64_t u = 1; u <= t; ++u) {
    for (size_t i = 0; i < left.size(); ++i) {
      const bool hard = exits[static_cast<size_t>(rows[i])].hard;
      const float last = u == t ? 1.0F : 0.0F;
      weights[i] = hard ? last : p[(u - 1) * r + left[i]];
    }
    add_loop(u, t, rows, weights);
  }
}

void EarlyExit::add_loop(int64_t u, int64_t t, const std::vector<int64_t>& rows,
                         const std::vector<float>& weights) {
  const auto& ran = ran_[static_cast<size_t>(u - 1)];
  auto h = ran.h;
  if (rows.size() != ran.rows.size()) {
    std::vector<int64_t> places;
    auto place = ran.rows.begin();
    for (const auto row : rows) {
      place = std::lower_bound(place, ran.rows.end(), row);
      places.push_back(place - ran.rows.begin());
    }
    h = ops::gather_rows(h, places);
  }
  ops::weighted_add_rows(y_, rows, weights, h);
  auto* const n = n_.data_ptr<float>();
  const auto& exits = place_.pass.context()->exits();
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto& exit = exits[static_cast<size_t>(rows[i])];
    const bool counts_runs = exit.rule != nullptr || exit.hard;
    const float runs = u == t ? static_cast<float>(t) : 0.0F;
    n[rows[i]] += counts_runs ? runs : static_cast<float>(u) * weights[i];
  }
}

void EarlyExit::tell_context(int64_t t, const Decision& decision, const at::Tensor& h) {
  LoopOutcome outcome{.at = {.layer = place_.layer, .loop = t, .rows = &thinking_.rows},
                      .weights = decision.weights,
                      .left = decision.left};
  outcome.head_reads = head_.num_read();
  Thinking leaving;
  auto leaving_at = place_.at_loop(t);
  if (!decision.left.empty()) {
    leaving.rows = at_places(thinking_.rows, decision.left);
    outcome.states = ops::gather_rows(h[0], decision.left);
    outcome.outputs = ops::gather_rows(y_, leaving.rows);
    leaving_at.thinking = &leaving;
    outcome.project = [&](const at::Tensor& states) {
      leaving.angles = angles_at(thinking_.angles, decision.left);
      return late_keys_(states, leaving_at);
    };
  }
  place_.pass.context()->after_loop(outcome);
}

void EarlyExit::keep(const std::vector<int64_t>& stayed) {
  head_.keep(stayed);
  thinking_.rows = at_places(thinking_.rows, stayed);
  thinking_.angles = angles_at(thinking_.angles, stayed);
  for (auto& logit : logits_) {
    logit = ops::gather_rows(logit[0].unsqueeze(1), stayed).squeeze(1).unsqueeze(0);
  }
  for (auto* state : {&before_, &earlier_}) {
    if (state->defined()) {
      *state = ops::gather_rows((*state)[0], stayed).unsqueeze(0);
    }
  }
}

LayerOutput EarlyExit::output() {
  return {.state = y_.unsqueeze(0), .expected_loops = n_.unsqueeze(0).to(y_.device())};
}

}  // namespace loopbank
