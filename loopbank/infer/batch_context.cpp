#include "loopbank/infer/batch_context.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <utility>

#include "loopbank/ops/paged_attention.h"

namespace loopbank {
namespace {

/// Row i of [r, H_kv, d], whose rows are dense.
const std::byte* row_of(const at::Tensor& x, int64_t i) {
  return static_cast<const std::byte*>(x.data_ptr()) +
         i * x.stride(0) * static_cast<int64_t>(x.element_size());
}

float float_at(const std::byte* values, bool is_bf16, int64_t i) {
  return is_bf16 ? static_cast<float>(reinterpret_cast<const at::BFloat16*>(values)[i])
                 : reinterpret_cast<const float*>(values)[i];
}

}  // namespace

/// Where the slots of one token in one layer are.
class BatchContext::Slots final : public TokenSlots {
 public:
  struct Pair {
    const std::byte* key = nullptr;
    const std::byte* value = nullptr;
  };
  /// @param late  null where nothing was made late
  /// @param sum   [2, H_kv d]; null where no policy of the pass sums
  Slots(const PageStore& store, const BatchToken& token, int64_t layer, bool one, Pair own,
        Pair late, float* sum)
      : store_(store), token_(token), layer_(layer), one_(one), own_(own), late_(late), sum_(sum) {}

  void write_own(int64_t slot) override { write(slot, own_); }
  void write_late(int64_t slot) override { write(slot, late_); }

  void add_own(float weight) override {
    const auto n = width();
    for (int64_t i = 0; i < n; ++i) {
      sum_[i] += weight * float_at(own_.key, store_.layout().is_bf16, i);
      sum_[n + i] += weight * float_at(own_.value, store_.layout().is_bf16, i);
    }
  }

  void write_sum(int64_t slot) override {
    const auto n = width();
    if (!store_.layout().is_bf16) {
      write(slot, {reinterpret_cast<const std::byte*>(sum_),
                   reinterpret_cast<const std::byte*>(sum_ + n)});
      return;
    }
    std::vector<at::BFloat16> rounded(static_cast<size_t>(2 * n));
    std::copy(sum_, sum_ + 2 * n, rounded.begin());
    write(slot, {reinterpret_cast<const std::byte*>(rounded.data()),
                 reinterpret_cast<const std::byte*>(rounded.data() + n)});
  }

 private:
  [[nodiscard]] int64_t width() const { return store_.layout().key_heads * store_.layout().width; }
  void write(int64_t slot, Pair from) {
    const auto& map = token_.text->map();
    const auto place = one_ ? map.kept(layer_) : map.of_loop(layer_, slot);
    ops::store_token(store_.layout(), token_.text->block(place, token_.position),
                     token_.position % ops::kPageTokens, from.key, from.value);
  }

  const PageStore& store_;
  const BatchToken& token_;
  int64_t layer_;
  bool one_;
  Pair own_;
  Pair late_;
  float* sum_;
};

BatchContext::BatchContext(const PageStore& store, const ops::AttentionHeads& heads,
                           std::vector<BatchToken> tokens)
    : store_(store), heads_(heads), tokens_(std::move(tokens)) {
  std::vector<int64_t> positions;
  for (const auto& token : tokens_) {
    exits_.push_back(token.exit);
    positions.push_back(token.position);
    has_sums_ = has_sums_ || token.policy->sums();
  }
  positions_ = at::tensor(positions, at::kLong);
  counts_.run.assign(static_cast<size_t>(store.num_layers()), 0);
  counts_.late = counts_.run;
}

const BatchToken& BatchContext::token(const LoopRows& at, size_t i) const {
  return tokens_[at.rows != nullptr ? static_cast<size_t>((*at.rows)[i]) : i];
}

int64_t BatchContext::loops_of(int64_t layer, const BatchToken& token) const {
  const auto loops = store_.loops(layer);
  return token.exit.max_loops > 0 ? std::min(token.exit.max_loops, loops) : loops;
}

void BatchContext::write_own(const LoopRows& at) {
  for (int64_t i = 0; i < own_.keys.size(0); ++i) {
    const auto& token = this->token(at, static_cast<size_t>(i));
    const bool has_one = token.text->slots() == PageSlots::kOne;
    if (has_one && !(at.loop == 1 && token.policy->reads_in_step())) {
      continue;  // the policy writes it later
    }
    const auto slot = token.text->map().of_loop(at.layer, at.loop);
    ops::store_token(store_.layout(), token.text->block(slot, token.position),
                     token.position % ops::kPageTokens, row_of(own_.keys, i),
                     row_of(own_.values, i));
  }
}

at::Tensor BatchContext::attend(const LoopRows& at, const at::Tensor& query,
                                const KeysValues& own) {
  own_ = own;
  write_own(at);
  const auto r = static_cast<size_t>(query.size(0));
  std::vector<ops::PagedRow> rows(r);
  size_t texts = 0;
  const CachedText* text = nullptr;
  for (size_t i = 0; i < r; ++i) {
    const auto& token = this->token(at, i);
    if (token.text != text) {
      text = token.text;
      if (blocks_.size() == texts) {
        blocks_.emplace_back();
      }
      text->blocks(text->map().of_loop(at.layer, at.loop), blocks_[texts++]);
    }
    rows[i].blocks = blocks_[texts - 1].data();
    rows[i].length = token.position + 1;
    if (text->slots() == PageSlots::kOne) {
      rows[i].length = token.position;
      rows[i].own_key = row_of(own_.keys, static_cast<int64_t>(i));
      rows[i].own_value = row_of(own_.values, static_cast<int64_t>(i));
    }
  }
  return ops::paged_attention(query, rows, heads_);
}

BatchContext::LateKeys BatchContext::make_late(const LoopOutcome& outcome) {
  const auto& at = outcome.at;
  LateKeys late;
  for (const auto i : outcome.left) {
    const auto& token = this->token(at, static_cast<size_t>(i));
    if (at.loop == loops_of(at.layer, token)) {
      continue;
    }
    const auto kind = token.text->slots() == PageSlots::kBoth ? KeyValuePolicy::Late::kState
                                                              : token.policy->late();
    counts_.late[static_cast<size_t>(at.layer)] += kind != KeyValuePolicy::Late::kNone ? 1 : 0;
    if (kind == KeyValuePolicy::Late::kState && !late.of_states.keys.defined()) {
      late.of_states = outcome.project(outcome.states.unsqueeze(0));
    }
    if (kind == KeyValuePolicy::Late::kOutput && !late.of_outputs.keys.defined()) {
      late.of_outputs = outcome.project(outcome.outputs.unsqueeze(0));
    }
  }
  return late;
}

void BatchContext::fill(const KeyValuePolicy& policy, const LoopOutcome& outcome,
                        const LateKeys& late, int64_t i, int64_t place_of_left) {
  const auto& at = outcome.at;
  const auto& token = this->token(at, static_cast<size_t>(i));
  const bool left = place_of_left >= 0;
  const auto& made =
      policy.late() == KeyValuePolicy::Late::kOutput ? late.of_outputs : late.of_states;
  Slots::Pair of_late;
  if (left && made.keys.defined()) {
    of_late = {row_of(made.keys, place_of_left), row_of(made.values, place_of_left)};
  }
  const auto row = at.rows != nullptr ? (*at.rows)[static_cast<size_t>(i)] : i;
  Slots slots(store_, token, at.layer, !policy.keeps_every_loop(),
              {row_of(own_.keys, i), row_of(own_.values, i)}, of_late,
              has_sums_ ? &sums_[static_cast<size_t>(row) * sum_size()] : nullptr);
  policy.after_loop(slots, at.loop, loops_of(at.layer, token),
                    outcome.weights[static_cast<size_t>(i)], left);
}

void BatchContext::after_loop(const LoopOutcome& outcome) {
  const auto& at = outcome.at;
  counts_.run[static_cast<size_t>(at.layer)] += static_cast<int64_t>(outcome.weights.size());
  counts_.head += outcome.head_reads;
  if (at.loop == 1 && has_sums_) {
    sums_.assign(tokens_.size() * sum_size(), 0.0F);
  }
  const auto late = make_late(outcome);
  int64_t next_left = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(outcome.weights.size()); ++i) {
    const auto& token = this->token(at, static_cast<size_t>(i));
    const bool left = next_left < static_cast<int64_t>(outcome.left.size()) &&
                      outcome.left[static_cast<size_t>(next_left)] == i;
    const auto place_of_left = left ? next_left++ : int64_t{-1};
    fill(*token.policy, outcome, late, i, place_of_left);
    if (token.text->slots() == PageSlots::kBoth) {
      fill(full_policy(), outcome, late, i, place_of_left);
    }
  }
}

}  // namespace loopbank
