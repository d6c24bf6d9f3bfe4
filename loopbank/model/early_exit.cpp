#include "loopbank/model/early_exit.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "loopbank/ops/rows.h"
#include "loopbank/ops/workspace.h"

namespace loopbank {
namespace {

/// Dense fp32 values on the CPU.
at::Tensor readable(const at::Tensor& x) {
  const bool is_ready = x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous();
  return is_ready ? x : x.to(at::kCPU, at::kFloat).contiguous();
}

/// [1, r, D] as [r, D].
at::Tensor rows_of(const at::Tensor& h) {
  return ops::reshaped(h, {h.size(1), h.size(2)});
}

/// [r, D] as [1, r, D].
at::Tensor one_text(const at::Tensor& h) {
  return ops::reshaped(h, {1, h.size(0), h.size(1)});
}

/// values[places[i]] for each i, to `to`.
void copy_places(const std::vector<int64_t>& values, const std::vector<int64_t>& places,
                 std::vector<int64_t>& to) {
  to.clear();
  for (const auto place : places) {
    to.push_back(values[static_cast<size_t>(place)]);
  }
}

/// Those of some rows.
ops::RotaryTable angles_at(const ops::RotaryTable& angles, const std::vector<int64_t>& places) {
  return {.cosines = ops::gather_rows(angles.cosines, places),
          .sines = ops::gather_rows(angles.sines, places)};
}

}  // namespace

void EarlyExit::begin(const at::Tensor& x, const Halting& halting, int64_t num_loops,
                      const Place& place, LateKeys late_keys) {
  halting_ = &halting;
  num_loops_ = place.pass.loops(num_loops);
  place_.emplace(place);
  late_keys_ = std::move(late_keys);
  y_ = ops::new_filled({x.size(1), x.size(2)}, 0.0, x);
  n_ = ops::new_filled({1, x.size(1)}, 0.0, x.is_cpu() ? x : x.cpu());
  reads_changes_ = std::any_of(exits().begin(), exits().end(), [](const TokenExit& exit) {
    return exit.rule != nullptr && exit.rule->reads_changes();
  });
  thinking_.rows.resize(exits().size());
  std::iota(thinking_.rows.begin(), thinking_.rows.end(), 0);
  thinking_.angles = place.pass.angles;
  before_ = reads_changes_ ? rows_of(x) : at::Tensor();
  earlier_ = at::Tensor();
  logits_.clear();
  head_.begin();
}

const std::vector<TokenExit>& EarlyExit::exits() const {
  return place_->pass.context()->exits();
}

bool EarlyExit::runs(int64_t t) const {
  return t <= num_loops_ && !thinking_.rows.empty();
}

Place EarlyExit::place(int64_t t) const {
  auto at = place_->at_loop(t);
  at.thinking = &thinking_;
  at.weights.enter_loop(t, num_loops_);
  return at;
}

at::Tensor EarlyExit::after_loop(int64_t t, const at::Tensor& h, const at::Tensor& logit) {
  const auto states = rows_of(h);  // [r, D]
  const auto loop = static_cast<size_t>(t);
  ran_.resize(std::max(ran_.size(), loop));
  ran_[loop - 1].h = states;
  ran_[loop - 1].rows = thinking_.rows;
  logits_.push_back(logit);
  decide(t, states);
  copy_places(thinking_.rows, decision_.left, leaving_.rows);
  mix(t);
  tell_context(t, states);
  if (decision_.left.empty()) {
    return h;
  }
  if (decision_.stayed.empty()) {
    thinking_.rows.clear();
    return h;
  }
  keep_those_that_stay();
  return one_text(ops::gather_rows(states, decision_.stayed));
}

void EarlyExit::decide(int64_t t, const at::Tensor& h) {
  // Were there one more loop, it would take the rest: P_1, ..., P_t, 1 - C_t.
  logits_.push_back(logits_.back());
  const auto halting = readable(halting_->distribution(logits_));  // [t + 1, 1, r]
  logits_.pop_back();
  const auto r = thinking_.rows.size();
  const auto* here = halting.data_ptr<float>() + static_cast<size_t>(t - 1) * r;
  const auto* rest = here + r;
  const auto logit = readable(logits_.back());
  const auto* last_logit = logit.data_ptr<float>();
  const auto moved = reads_changes_ ? changes(h) : Changes{};
  head_.read(place_->pass, t, h, exits(), thinking_.rows, here, rest, num_loops_);
  decision_.weights.resize(r);
  decision_.left.clear();
  decision_.stayed.clear();
  for (size_t i = 0; i < r; ++i) {
    const auto& exit = exits()[static_cast<size_t>(thinking_.rows[i])];
    const auto last = exit.max_loops > 0 ? std::min(exit.max_loops, num_loops_) : num_loops_;
    bool leaves = t >= last;
    if (!leaves && exit.rule != nullptr) {
      AfterLoop token{.t = t,
                      .p = 1.0 / (1.0 + std::exp(-static_cast<double>(last_logit[i]))),
                      .cumulative = 1.0 - static_cast<double>(rest[i])};
      if (reads_changes_) {
        token.change = moved.change.data_ptr<float>()[i];
        token.acceleration = moved.acceleration.defined() ? moved.acceleration.data_ptr<float>()[i]
                                                          : std::numeric_limits<double>::infinity();
      }
      head_.tell(i, token);
      leaves = exit.rule->leaves(token);
    }
    decision_.weights[i] = leaves ? here[i] + rest[i] : here[i];
    (leaves ? decision_.left : decision_.stayed).push_back(static_cast<int64_t>(i));
  }
}

EarlyExit::Changes EarlyExit::changes(const at::Tensor& h) {
  Changes result{.change = readable(ops::relative_change(h, before_)), .acceleration = {}};
  if (earlier_.defined()) {
    result.acceleration = readable(ops::relative_acceleration(h, before_, earlier_));
  }
  earlier_ = std::exchange(before_, h);
  return result;
}

void EarlyExit::mix(int64_t t) {
  const auto& left = decision_.left;
  if (left.empty()) {
    return;
  }
  // The loops that were run are all that there are: the last takes the rest.
  const auto halting = readable(halting_->distribution(logits_));  // P [t, 1, r]
  const auto* const p = halting.data_ptr<float>();
  const auto r = halting.size(2);
  weights_.resize(left.size());
  for (int64_t u = 1; u <= t; ++u) {
    for (size_t i = 0; i < left.size(); ++i) {
      const bool hard = exits()[static_cast<size_t>(leaving_.rows[i])].hard;
      const float last = u == t ? 1.0F : 0.0F;
      weights_[i] = hard ? last : p[(u - 1) * r + left[i]];
    }
    add_loop(u, t);
  }
}

void EarlyExit::add_loop(int64_t u, int64_t t) {
  const auto& ran = ran_[static_cast<size_t>(u - 1)];
  const auto& rows = leaving_.rows;
  auto h = ran.h;
  if (rows.size() != ran.rows.size()) {
    places_.clear();
    auto place = ran.rows.begin();
    for (const auto row : rows) {
      place = std::lower_bound(place, ran.rows.end(), row);
      places_.push_back(place - ran.rows.begin());
    }
    h = ops::gather_rows(h, places_);
  }
  ops::weighted_add_rows(y_, rows, weights_, h);
  auto* const n = n_.data_ptr<float>();
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto& exit = exits()[static_cast<size_t>(rows[i])];
    const bool counts_runs = exit.rule != nullptr || exit.hard;
    const float runs = u == t ? static_cast<float>(t) : 0.0F;
    n[rows[i]] += counts_runs ? runs : static_cast<float>(u) * weights_[i];
  }
}

void EarlyExit::tell_context(int64_t t, const at::Tensor& h) {
  LoopOutcome outcome{.at = {.layer = place_->layer, .loop = t, .rows = &thinking_.rows},
                      .num_rows = h.size(0),
                      .weights = decision_.weights,
                      .left = decision_.left};
  outcome.head_reads = head_.num_read();
  outcome.late = [this, &h](LateOf of) {
    const auto made_of = of == LateOf::kState ? ops::gather_rows(h, decision_.left)
                                              : ops::gather_rows(y_, leaving_.rows);
    leaving_.angles = angles_at(thinking_.angles, decision_.left);
    auto at = place_->at_loop(static_cast<int64_t>(logits_.size()));
    at.thinking = &leaving_;
    return late_keys_(one_text(made_of), at);
  };
  place_->pass.context()->after_loop(outcome);
}

void EarlyExit::keep_those_that_stay() {
  const auto& stayed = decision_.stayed;
  head_.keep(stayed);
  copy_places(ran_[logits_.size() - 1].rows, stayed, thinking_.rows);
  thinking_.angles = angles_at(thinking_.angles, stayed);
  const auto count = static_cast<int64_t>(stayed.size());
  for (auto& logit : logits_) {
    const auto column = ops::reshaped(logit, {logit.size(1), 1});
    logit = ops::reshaped(ops::gather_rows(column, stayed), {1, count});
  }
  for (auto* state : {&before_, &earlier_}) {
    if (state->defined()) {
      *state = ops::gather_rows(*state, stayed);
    }
  }
}

LayerOutput EarlyExit::output() {
  head_.begin();
  for (auto& ran : ran_) {
    ran.h = at::Tensor();
  }
  return {.state = one_text(y_), .expected_loops = y_.is_cpu() ? n_ : n_.to(y_.device())};
}

}  // namespace loopbank
