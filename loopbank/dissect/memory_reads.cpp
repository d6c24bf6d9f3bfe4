#include "loopbank/dissect/memory_reads.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/xlogy.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace loopbank {
namespace {

/// The sums of one layer's reads of one bank in one loop.
class Tally {
 public:
  Tally(const MemoryRead& read, int64_t num_tokens, const ReadOptions& options)
      : num_highest_(options.num_highest), block_weights_(options.block_weights) {
    const auto on_device = read.keys.options();
    const auto slots = read.keys.size(0);
    sums_ = at::zeros({3, slots}, on_device.dtype(at::kDouble));
    scalars_ = at::zeros({3}, on_device.dtype(at::kDouble));
    top_slot_ = at::zeros({num_tokens}, on_device.dtype(at::kInt));
    highest_ = at::empty({slots, 0}, on_device.dtype(at::kFloat));
    highest_tokens_ = at::empty({slots, 0}, on_device.dtype(at::kLong));
  }

  /// @param first  place in the text of the read's first token
  void add(const MemoryRead& read, int64_t first) {
    const auto scale = 1.0 / std::sqrt(static_cast<double>(read.query.size(-1)));
    const auto query = read.query.flatten(0, 1);                    // [T, D]
    const auto gate = read.gate.mean(-1).flatten().to(at::kFloat);  // [T]
    const auto keys = read.keys.to(at::kFloat);                     // [M, D]
    const auto block = std::max<int64_t>(1, block_weights_ / keys.size(0));
    for (int64_t t = 0; t < query.size(0); t += block) {
      const auto count = std::min(block, query.size(0) - t);
      const auto scores =
          at::matmul(query.narrow(0, t, count).to(at::kFloat), keys.t()) * scale;  // [t, M]
      add_weights(at::softmax(scores, -1), gate.narrow(0, t, count), first + t);
    }
  }

  /// @param passed  sum of P_i over the loops from this one on and over a row's tokens
  void add_reach(double passed) { reach_ += passed; }

  [[nodiscard]] BankReads result(const BankId& bank, int64_t layer, int64_t loop) const {
    const auto tokens = static_cast<double>(top_slot_.numel());
    const auto means = (sums_ / tokens).to(at::kCPU);       // [3, M]
    const auto scalars = (scalars_ / tokens).to(at::kCPU);  // [3]
    return {.bank = bank,
            .layer = layer,
            .loop = loop,
            .reach = reach_ / tokens,
            .gate = scalars[0].item<double>(),
            .entropy = scalars[1].item<double>(),
            .largest_weight = scalars[2].item<double>(),
            .weight = means[0],
            .gated_weight = means[1],
            .top_share = means[2],
            .top_slot = top_slot_.to(at::kCPU),
            .highest = highest_.to(at::kCPU),
            .highest_tokens = highest_tokens_.to(at::kCPU)};
  }

 private:
  /// @param weights  [t, M]
  /// @param gate     [t]
  void add_weights(const at::Tensor& weights, const at::Tensor& gate, int64_t first) {
    const auto [largest, slot] = weights.max(-1);  // [t], [t]
    sums_[0] += weights.sum(0, /*keepdim=*/false, at::kDouble);
    sums_[1] += at::mv(weights.t(), gate);
    sums_[2] += at::bincount(slot, {}, weights.size(1));
    scalars_[0] += gate.sum(at::kDouble);
    scalars_[1] -= at::xlogy(weights, weights).sum(at::kDouble);
    scalars_[2] += largest.sum(at::kDouble);
    top_slot_.narrow(0, first, slot.numel()).copy_(slot);
    keep_highest(weights.t(), first);
  }

  /// @param weights  [M, t]
  void keep_highest(const at::Tensor& weights, int64_t first) {
    const auto [some, tokens] =
        weights.topk(std::min(num_highest_, weights.size(1)), -1);  // [M, k] twice
    const auto all = at::cat({highest_, some}, -1);
    const auto all_tokens = at::cat({highest_tokens_, tokens + first}, -1);
    const auto [kept, places] = all.topk(std::min(num_highest_, all.size(1)), -1);  // [M, K] twice
    highest_ = kept;
    highest_tokens_ = all_tokens.gather(-1, places);
  }

  int64_t num_highest_;
  int64_t block_weights_;
  double reach_ = 0.0;
  at::Tensor sums_;     // [3, M] of weight, gated weight, being the largest
  at::Tensor scalars_;  // [3] of gate, entropy, largest weight
  at::Tensor top_slot_;
  at::Tensor highest_;
  at::Tensor highest_tokens_;
};

/// The reads of one bank.
template <typename Use>
void for_reads_of(const MemoryReads& reads, const BankId& bank, const Use& use) {
  for (const auto& read : reads.reads) {
    if (read.bank == bank) {
      use(read);
    }
  }
}

/// Every token that was kept for a slot, where it is read most.
std::vector<ReadContext> contexts_of(const MemoryReads& reads, const BankId& bank, int64_t slot) {
  std::map<int64_t, ReadContext> by_token;
  for_reads_of(reads, bank, [&](const BankReads& read) {
    for (int64_t k = 0; k < read.highest.size(1); ++k) {
      const ReadContext context{.token = read.highest_tokens[slot][k].item<int64_t>(),
                                .weight = read.highest[slot][k].item<double>(),
                                .counted = read.highest[slot][k].item<double>() * read.reach,
                                .layer = read.layer,
                                .loop = read.loop};
      const auto [best, is_new] = by_token.try_emplace(context.token, context);
      if (!is_new && context.counted > best->second.counted) {
        best->second = context;
      }
    }
  });
  std::vector<ReadContext> contexts;
  for (const auto& [token, context] : by_token) {
    contexts.push_back(context);
  }
  return contexts;
}

std::vector<int64_t> to_integers(const at::Tensor& values) {
  const auto flat = values.to(at::kLong).contiguous();
  return {flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + flat.numel()};
}

}  // namespace

MemoryReads observe_reads(const LanguageModel& model, const ScoredText& text,
                          const ReadOptions& options) {
  const at::NoGradGuard no_grad;
  std::map<std::tuple<bool, int64_t, int64_t>, Tally> tallies;  // global, layer, loop
  int64_t first = 0;
  Recorder recorder;
  recorder.on_read = [&](const MemoryRead& read) {
    const auto [place, is_new] =
        tallies.try_emplace({read.global, read.layer, read.loop}, read, text.num_tokens(), options);
    place->second.add(read, first);
  };
  MemoryReads observed;
  for (const auto& row : text.rows) {
    first = row.first;
    observed.row_nats.push_back(
        nats_of(model, row, {.max_loops = options.max_loops, .recorder = &recorder}));
    for (auto& [place, tally] : tallies) {
      const auto [global, layer, loop] = place;
      const auto& halting = recorder.halting[static_cast<size_t>(layer)];  // [N, 1, T]
      const auto passed = halting.narrow(0, loop - 1, halting.size(0) - loop + 1);
      tally.add_reach(passed.sum(at::kDouble).item<double>());
    }
  }
  for (const auto& [place, tally] : tallies) {
    const auto [global, layer, loop] = place;
    observed.reads.push_back(tally.result({global ? BankId::kGlobal : layer}, layer, loop));
  }
  return observed;
}

BankUse bank_use(const MemoryReads& reads, const BankId& bank) {
  at::Tensor weight;
  at::Tensor gated;
  at::Tensor share;
  at::Tensor unread;  // [M] bool: largest at no token of any read
  double reach = 0.0;
  for_reads_of(reads, bank, [&](const BankReads& read) {
    const auto add = [&](at::Tensor& sum, const at::Tensor& values) {
      sum = sum.defined() ? sum + read.reach * values : read.reach * values;
    };
    add(weight, read.weight);
    add(gated, read.gated_weight);
    add(share, read.top_share);
    unread = unread.defined() ? unread & (read.top_share == 0.0) : read.top_share == 0.0;
    reach += read.reach;
  });
  BankUse use{.bank = bank,
              .weight = weight / reach,
              .gated_weight = gated / reach,
              .top_share = share / reach};
  const auto least = kDeadShare / static_cast<double>(use.weight.numel());
  use.most_read = to_integers(use.weight.argsort(/*dim=*/-1, /*descending=*/true));
  use.dead = to_integers(at::nonzero(unread & (use.weight < least)).flatten());
  return use;
}

std::vector<ReadContext> top_contexts(const MemoryReads& reads, const ScoredText& text,
                                      const BankId& bank, int64_t slot, int64_t count) {
  auto contexts = contexts_of(reads, bank, slot);
  std::stable_sort(
      contexts.begin(), contexts.end(),
      [](const ReadContext& a, const ReadContext& b) { return a.counted > b.counted; });
  std::set<TokenId> seen;
  std::vector<ReadContext> first;
  std::vector<ReadContext> further;
  for (const auto& context : contexts) {
    const bool is_new = seen.insert(text.ids[static_cast<size_t>(context.token)]).second;
    (is_new ? first : further).push_back(context);
  }
  first.insert(first.end(), further.begin(), further.end());
  first.resize(std::min(first.size(), static_cast<size_t>(count)));
  return first;
}

std::vector<TopToken> top_tokens(const MemoryReads& reads, const ScoredText& text,
                                 const BankId& bank, int64_t slot, int64_t count) {
  std::map<TokenId, double> counts;
  double total = 0.0;
  for_reads_of(reads, bank, [&](const BankReads& read) {
    for (const auto token : to_integers(at::nonzero(read.top_slot == slot).flatten())) {
      counts[text.ids[static_cast<size_t>(token)]] += read.reach;
      total += read.reach;
    }
  });
  std::vector<TopToken> found;
  for (const auto& [id, times] : counts) {
    found.push_back({.id = id, .share = times / total});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const TopToken& a, const TopToken& b) { return a.share > b.share; });
  found.resize(std::min(found.size(), static_cast<size_t>(count)));
  for (auto& token : found) {
    const auto in_text = std::count(text.ids.begin(), text.ids.end() - 1, token.id);
    token.lift =
        token.share * static_cast<double>(text.num_tokens()) / static_cast<double>(in_text);
  }
  return found;
}

double effective_slots(const at::Tensor& weights) {
  return std::exp(-at::xlogy(weights, weights).sum().item<double>());
}

}  // namespace loopbank
