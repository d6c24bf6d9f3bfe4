#include "loopbank/eval/scorer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <utility>

#include "loopbank/ops/token_tree.h"
#include "loopbank/support/error.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {
namespace {

constexpr int64_t kHeadRows = 512;  // a head call: 100 MB of logits at V 50304

/// Tokens of a request and where its continuation begins.
std::pair<std::vector<TokenId>, size_t> encode_pair(const Tokenizer& tokenizer,
                                                    const ScoreRequest& request) {
  const std::string whole_text = std::string(request.context) + std::string(request.continuation);
  auto context = tokenizer.encode(request.context);
  auto whole = tokenizer.encode(whole_text);
  if (whole.size() <= context.size() ||
      !std::equal(context.begin(), context.end(), whole.begin())) {
    const auto continuation = tokenizer.encode(request.continuation);
    whole = context;
    whole.insert(whole.end(), continuation.begin(), continuation.end());
  }
  if (context.empty()) {
    whole.insert(whole.begin(), tokenizer.end_of_text());
    return {std::move(whole), 1};
  }
  return {std::move(whole), context.size()};
}

/// The windows of one request, each scoring a block of its continuation.
std::vector<Window> make_windows(const std::vector<TokenId>& tokens, size_t context_size,
                                 int64_t request, int64_t max_length) {
  const auto size = static_cast<int64_t>(tokens.size());
  const auto first = static_cast<int64_t>(context_size);
  const int64_t block =
      size - first <= max_length ? max_length : std::max<int64_t>(1, max_length / 2);
  std::vector<Window> windows;
  for (int64_t begin = first; begin < size; begin += block) {
    const int64_t end = std::min(size, begin + block);
    const int64_t left = std::max<int64_t>(0, end - (max_length + 1));
    windows.push_back({.request = request,
                       .tokens = {tokens.begin() + left, tokens.begin() + end},
                       .num_scored = end - begin});
  }
  return windows;
}

/// What the model says about the targets of a batch, on the CPU.
struct TargetScores {
  at::Tensor log_probabilities;  ///< [M] fp64
  at::Tensor greedy;             ///< [M] bool
  at::Tensor loops;              ///< [M] fp64, mean over layers
};

/// One member of every target, [M] int64.
template <typename Member>
at::Tensor column(const std::vector<PrefixBatch::Target>& targets, Member member) {
  std::vector<int64_t> values;
  values.reserve(targets.size());
  for (const auto& target : targets) {
    values.push_back(target.*member);
  }
  return at::tensor(values, at::kLong);
}

TargetScores score_batch(const LanguageModel& model, const PrefixBatch& batch,
                         ForwardOptions options) {
  const auto device = model.device();
  const ops::TokenTree tree(batch.depths);
  options.tree = &tree;
  const auto tokens = at::tensor(batch.tokens, at::kLong).unsqueeze(0);  // [1, T]
  const auto hidden = model.hidden(tokens.to(device), options);
  options.tree = nullptr;
  const auto rows = at::tensor(batch.rows, at::kLong).to(device);             // [R]
  const auto states = hidden.states.squeeze(0).index_select(0, rows);         // [R, D]
  const auto loops = hidden.expected_loops.mean(0)[0].index_select(0, rows);  // [R]

  const auto target_rows = column(batch.targets, &PrefixBatch::Target::row).to(device);  // [M]
  const auto wanted = column(batch.targets, &PrefixBatch::Target::token).to(device);     // [M]
  std::vector<at::Tensor> log_probabilities;
  std::vector<at::Tensor> greedy;
  int64_t first = 0;  // target
  for (int64_t begin = 0; begin < states.size(0); begin += kHeadRows) {
    const int64_t end = std::min(begin + kHeadRows, states.size(0));
    const auto logits = model.head(states.slice(0, begin, end), options);  // [R', V]
    const auto last = target_rows.lt(end).sum().item<int64_t>();
    const auto row = target_rows.slice(0, first, last) - begin;         // [M']
    const auto token = wanted.slice(0, first, last);                    // [M']
    const auto most = std::get<1>(logits.max(1)).index_select(0, row);  // [M']
    const auto log_sums = logits.logsumexp(1).index_select(0, row);     // [M']
    log_probabilities.push_back(logits.index({row, token}) - log_sums);
    greedy.push_back(most.eq(token));
    first = last;
  }
  return {at::cat(log_probabilities).to(at::kCPU, at::kDouble), at::cat(greedy).to(at::kCPU),
          loops.index_select(0, target_rows).to(at::kCPU, at::kDouble)};
}

void add_scores(const TargetScores& batch, const std::vector<PrefixBatch::Target>& targets,
                std::vector<ContinuationScore>& scores) {
  const auto* log_probabilities = batch.log_probabilities.data_ptr<double>();
  const auto* greedy = batch.greedy.data_ptr<bool>();
  const auto* loops = batch.loops.data_ptr<double>();
  for (size_t i = 0; i < targets.size(); ++i) {
    auto& score = scores[static_cast<size_t>(targets[i].request)];
    score.log_probability += log_probabilities[i];
    score.loops += loops[i];
    score.greedy = score.greedy && greedy[i];
  }
}

}  // namespace

EncodedRequests::EncodedRequests(const Tokenizer& tokenizer,
                                 const std::vector<ScoreRequest>& requests, int64_t max_length) {
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& request = requests[i];
    if (request.continuation.empty()) {
      fail(ErrorCode::kData,
           "score: expected a continuation of at least one byte, got none after "
           "\"{}\".",
           request.context);
    }
    const auto [tokens, context_size] = encode_pair(tokenizer, request);
    auto windows = make_windows(tokens, context_size, static_cast<int64_t>(i), max_length);
    ContinuationScore score;
    score.tokens = static_cast<int64_t>(tokens.size() - context_size);
    score.characters = count_characters(request.continuation);
    score.bytes = static_cast<int64_t>(request.continuation.size());
    score.greedy = true;
    // The first window begins left of everything unless something was cut.
    score.context_cut = static_cast<int64_t>(windows.front().tokens.size()) <
                        static_cast<int64_t>(context_size) + windows.front().num_scored;
    score.windows = static_cast<int64_t>(windows.size());
    score.context_tokens =
        static_cast<int64_t>(windows.front().tokens.size()) - windows.front().num_scored;
    blank_.push_back(score);
    std::move(windows.begin(), windows.end(), std::back_inserter(windows_));
  }
}

ScoringCost& ScoringCost::operator+=(const ScoringCost& other) {
  tokens += other.tokens;
  computed_tokens += other.computed_tokens;
  head_rows += other.head_rows;
  seconds += other.seconds;
  return *this;
}

ScoredRequests score_requests(const LanguageModel& model, const EncodedRequests& requests,
                              const ScoreOptions& options) {
  const at::NoGradGuard no_grad;
  const Stopwatch watch;
  const ForwardOptions forward{.compute_dtype = options.compute_dtype,
                               .max_loops = options.max_loops};
  ScoredRequests scored{.scores = requests.blank_scores(), .cost = {}};
  const auto& windows = requests.windows();
  for (const auto& window : windows) {
    scored.cost.tokens += window.num_inputs();
  }
  int64_t done = 0;
  for (const auto& batch :
       make_prefix_batches(windows, options.batch_tokens, options.share_prefixes)) {
    add_scores(score_batch(model, batch, forward), batch.targets, scored.scores);
    scored.cost.computed_tokens += static_cast<int64_t>(batch.tokens.size());
    scored.cost.head_rows += static_cast<int64_t>(batch.rows.size());
    done += batch.num_windows;
    if (options.on_progress) {
      options.on_progress(done, static_cast<int64_t>(windows.size()));
    }
  }
  for (const auto& score : scored.scores) {
    if (!std::isfinite(score.log_probability)) {
      fail(ErrorCode::kCheckpoint,
           "score: expected finite log-probabilities, got {}. The model's weights hold values that "
           "are not finite.",
           score.log_probability);
    }
  }
  scored.cost.seconds = watch.seconds();
  return scored;
}

}  // namespace loopbank
