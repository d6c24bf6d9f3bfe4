#include "loopbank/infer/inside_recorder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace loopbank {
namespace {

constexpr size_t kSlotsTold = 5;

/// Some rows of [1, r, D], as fp32 in CPU memory.
at::Tensor some_rows(const at::Tensor& x, const at::Tensor& places) {
  return x.flatten(0, 1).index_select(0, places.to(x.device())).to(at::kCPU, at::kFloat);
}

/// The slots of most weight; of equal ones the first.
std::vector<std::pair<int64_t, double>> largest(const std::vector<double>& weights, double scale) {
  std::vector<int64_t> slots(weights.size());
  std::iota(slots.begin(), slots.end(), 0);
  const auto count = static_cast<std::ptrdiff_t>(std::min(slots.size(), kSlotsTold));
  std::partial_sort(slots.begin(), slots.begin() + count, slots.end(), [&](int64_t a, int64_t b) {
    const double of_a = weights[static_cast<size_t>(a)];
    const double of_b = weights[static_cast<size_t>(b)];
    return of_a > of_b || (of_a == of_b && a < b);
  });
  std::vector<std::pair<int64_t, double>> top;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const auto slot = slots[static_cast<size_t>(i)];
    top.emplace_back(slot, weights[static_cast<size_t>(slot)] * scale);
  }
  return top;
}

}  // namespace

void InsideRecorder::begin(int64_t num_layers) {
  watched_.clear();
  layer_ = -1;
  num_layers_ = num_layers;
}

void InsideRecorder::watch(int64_t row, bool hard) {
  watched_.push_back({.row = row, .hard = hard, .inside = std::make_shared<TokenInside>()});
  watched_.back().inside->halting.resize(static_cast<size_t>(num_layers_));
}

void InsideRecorder::enter(int64_t layer) {
  if (layer == layer_) {
    return;
  }
  layer_ = layer;
  for (auto& watched : watched_) {
    watched.share = 1.0;
    for (auto& bank : watched.banks) {
      bank.share = bank.gate = 0.0;
      bank.weights.clear();
    }
  }
}

void InsideRecorder::find(const LoopRows& at, int64_t num_rows) {
  places_.clear();
  found_.clear();
  int64_t place = 0;
  for (auto& watched : watched_) {
    if (at.rows == nullptr) {
      place = watched.row;
    } else {
      const auto first = at.rows->begin() + place;
      place = std::lower_bound(first, at.rows->end(), watched.row) - at.rows->begin();
    }
    const bool runs = place < num_rows &&
                      (at.rows == nullptr || (*at.rows)[static_cast<size_t>(place)] == watched.row);
    if (runs) {
      places_.push_back(place);
      found_.push_back(&watched);
    }
  }
}

void InsideRecorder::after_read(const LoopRows& at, const MemoryRead& read) {
  enter(at.layer);
  find(at, read.query.size(1));
  if (found_.empty()) {
    return;
  }
  const auto places = at::tensor(places_, at::kLong);
  const auto keys = read.keys.to(at::kCPU, at::kFloat);  // [M, D]
  const auto scale = 1.0 / std::sqrt(static_cast<double>(keys.size(1)));
  const auto scores = at::matmul(some_rows(read.query, places), keys.t()) * scale;  // [k, M]
  const auto weights = at::softmax(scores, -1).contiguous();                        // [k, M]
  const auto gates = some_rows(read.gate, places).mean(-1).contiguous();            // [k]
  const auto slots = weights.size(1);
  for (size_t i = 0; i < found_.size(); ++i) {
    auto& bank = found_[i]->banks[read.global ? 1 : 0];
    const double share = found_[i]->share;
    bank.share += share;
    bank.gate += share * static_cast<double>(gates.data_ptr<float>()[i]);
    bank.weights.resize(static_cast<size_t>(slots), 0.0);
    const auto* row = weights.data_ptr<float>() + static_cast<int64_t>(i) * slots;
    for (int64_t s = 0; s < slots; ++s) {
      bank.weights[static_cast<size_t>(s)] += share * static_cast<double>(row[s]);
    }
  }
}

void InsideRecorder::after_loop(const LoopOutcome& outcome, int64_t num_loops) {
  const auto& at = outcome.at;
  enter(at.layer);
  find(at, outcome.num_rows);
  for (size_t i = 0; i < found_.size(); ++i) {
    auto& watched = *found_[i];
    auto& halting = watched.inside->halting[static_cast<size_t>(at.layer)];
    halting.resize(static_cast<size_t>(num_loops), 0.0);
    const double p = outcome.together
                         ? 1.0
                         : static_cast<double>(outcome.weights[static_cast<size_t>(places_[i])]);
    halting[static_cast<size_t>(at.loop - 1)] = p;
    const bool left = outcome.together ||
                      std::binary_search(outcome.left.begin(), outcome.left.end(), places_[i]);
    if (left) {
      leave(watched, at.layer);
    } else if (!watched.hard) {
      watched.share = std::max(watched.share - p, 0.0);
    }
  }
}

void InsideRecorder::leave(Watched& watched, int64_t layer) {
  for (const bool global : {false, true}) {
    const auto& bank = watched.banks[global ? 1 : 0];
    if (bank.share > 0.0) {
      watched.inside->reads.push_back({.layer = layer,
                                       .global = global,
                                       .gate = bank.gate / bank.share,
                                       .top = largest(bank.weights, 1.0 / bank.share)});
    }
  }
}

std::vector<std::shared_ptr<const TokenInside>> InsideRecorder::results(const at::Tensor& loops) {
  const auto num_rows = loops.size(2);
  const auto* const of_layers = loops.data_ptr<float>();
  std::vector<std::shared_ptr<const TokenInside>> results(static_cast<size_t>(num_rows));
  for (auto& watched : watched_) {
    for (int64_t l = 0; l < num_layers_; ++l) {
      watched.inside->loops.push_back(static_cast<double>(of_layers[l * num_rows + watched.row]));
    }
    results[static_cast<size_t>(watched.row)] = std::move(watched.inside);
  }
  watched_.clear();
  return results;
}

}  // namespace loopbank
