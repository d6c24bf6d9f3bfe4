#include "loopbank/infer/batch_context.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "loopbank/ops/paged_attention.h"

namespace loopbank {
namespace {

/// Row i of [r, H_kv, d], whose rows are dense.
const std::byte* row_of(const at::Tensor& x, int64_t i) {
  return static_cast<const std::byte*>(x.data_ptr()) +
         i * x.stride(0) * static_cast<int64_t>(x.element_size());
}

/// As pages take them: in main memory.
KeysValues in_main_memory(const KeysValues& x) {
  const bool is_there = !x.keys.defined() || x.keys.is_cpu();
  return is_there ? x : KeysValues{x.keys.to(at::kCPU), x.values.to(at::kCPU)};
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
  /// @param sum      [2, H_kv d]; null where no policy of the pass sums
  /// @param rounded  room for as many
  Slots(const PageStore& store, const BatchToken& token, int64_t layer, bool one, Pair own,
        Pair late, float* sum, at::BFloat16* rounded)
      : store_(store),
        token_(token),
        layer_(layer),
        one_(one),
        own_(own),
        late_(late),
        sum_(sum),
        rounded_(rounded) {}

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
    std::copy_n(sum_, 2 * n, rounded_);
    write(slot, {reinterpret_cast<const std::byte*>(rounded_),
                 reinterpret_cast<const std::byte*>(rounded_ + n)});
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
  at::BFloat16* rounded_;
};

void BatchContext::begin(std::span<const BatchToken> tokens) {
  tokens_ = tokens;
  exits_.clear();
  positions_.clear();
  text_of_.clear();
  has_sums_ = false;
  inside_.begin(store_.num_layers());
  size_t texts = 0;
  const CachedText* text = nullptr;
  for (const auto& token : tokens_) {
    exits_.push_back(token.exit);
    positions_.push_back(token.position);
    has_sums_ = has_sums_ || token.policy->sums();
    if (token.inside) {
      inside_.watch(std::ssize(positions_) - 1, token.exit.hard);
    }
    if (token.text != text) {
      text = token.text;
      pages_.resize(std::max(pages_.size(), ++texts));
      text->data_of_pages(pages_[texts - 1]);
    }
    text_of_.push_back(texts - 1);
  }
  counts_.run.assign(static_cast<size_t>(store_.num_layers()), 0);
  counts_.late.assign(counts_.run.size(), 0);
  counts_.head = 0;
  is_late_ = false;  // the pass before may have broken off
}

const BatchToken& BatchContext::token(const LoopRows& at, size_t i) const {
  return tokens_[row_of_pass(at, i)];
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
  own_ = in_main_memory(own);
  write_own(at);
  const auto r = static_cast<size_t>(query.size(0));
  rows_.assign(r, {});
  for (size_t i = 0; i < r; ++i) {
    const auto& token = this->token(at, i);
    const auto slot = token.text->map().of_loop(at.layer, at.loop);
    auto& row = rows_[i];
    row.blocks = pages_[text_of_[row_of_pass(at, i)]].data();
    row.offset = slot * store_.layout().bytes();
    row.length = token.position + 1;
    if (token.text->slots() == PageSlots::kOne) {
      row.length = token.position;
      row.own_key = row_of(own_.keys, static_cast<int64_t>(i));
      row.own_value = row_of(own_.values, static_cast<int64_t>(i));
    }
  }
  return ops::paged_attention(query, rows_, heads_);
}

BatchContext::LateKeys BatchContext::make_late(const LoopOutcome& outcome) {
  const auto& at = outcome.at;
  LateKeys late;
  if (outcome.together) {
    return late;  // after the only loop
  }
  for (const auto i : outcome.left) {
    const auto& token = this->token(at, static_cast<size_t>(i));
    if (at.loop == loops_of(at.layer, token)) {
      continue;
    }
    const auto kind = token.text->slots() == PageSlots::kBoth ? KeyValuePolicy::Late::kState
                                                              : token.policy->late();
    counts_.late[static_cast<size_t>(at.layer)] += kind != KeyValuePolicy::Late::kNone ? 1 : 0;
    if (kind == KeyValuePolicy::Late::kState && !late.of_states.keys.defined()) {
      late.of_states = in_main_memory(outcome.late(LateOf::kState));
    }
    if (kind == KeyValuePolicy::Late::kOutput && !late.of_outputs.keys.defined()) {
      late.of_outputs = in_main_memory(outcome.late(LateOf::kOutput));
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
  const auto row = row_of_pass(at, static_cast<size_t>(i));
  Slots slots(store_, token, at.layer, !policy.keeps_every_loop(),
              {row_of(own_.keys, i), row_of(own_.values, i)}, of_late,
              has_sums_ ? &sums_[row * sum_size()] : nullptr, rounded_.data());
  policy.after_loop(slots, at.loop, loops_of(at.layer, token),
                    outcome.together ? 1.0F : outcome.weights[static_cast<size_t>(i)], left);
}

void BatchContext::after_read(const LoopRows& at, const MemoryRead& read) {
  if (!is_late_) {  // what is made late is no read of the token's own pass
    inside_.after_read(at, read);
  }
}

void BatchContext::after_loop(const LoopOutcome& outcome) {
  const auto& at = outcome.at;
  if (inside_.watches()) {
    inside_.after_loop(outcome, store_.loops(at.layer));
  }
  counts_.run[static_cast<size_t>(at.layer)] += outcome.num_rows;
  counts_.head += outcome.head_reads;
  if (at.loop == 1 && has_sums_) {
    sums_.assign(tokens_.size() * sum_size(), 0.0F);
    rounded_.resize(sum_size());
  }
  is_late_ = true;
  const auto late = make_late(outcome);
  is_late_ = false;
  int64_t next_left = 0;
  for (int64_t i = 0; i < outcome.num_rows; ++i) {
    const auto& token = this->token(at, static_cast<size_t>(i));
    const bool left = outcome.together || (next_left < std::ssize(outcome.left) &&
                                           outcome.left[static_cast<size_t>(next_left)] == i);
    const auto place_of_left = left ? next_left++ : int64_t{-1};
    fill(*token.policy, outcome, late, i, place_of_left);
    if (token.text->slots() == PageSlots::kBoth) {
      fill(full_policy(), outcome, late, i, place_of_left);
    }
  }
}

}  // namespace loopbank
