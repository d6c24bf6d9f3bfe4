#include "loopbank/eval/scorer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

using Window = EncodedRequests::Window;

constexpr int64_t kHeadRows = 512;  // positions a head call: 100 MB of logits at V 50304

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

/// Rows [begin, end) of the windows as one batch.
struct Batch {
  at::Tensor inputs;     ///< [B, T'] int64, padded on the right with 0
  at::Tensor positions;  ///< [M] int64, into [B * T'], before each scored token
  at::Tensor targets;    ///< [M] int64
};

Batch make_batch(const std::vector<Window>& windows, size_t begin, size_t end) {
  const auto rows = static_cast<int64_t>(end - begin);
  const int64_t length = windows[begin].num_inputs();  // the longest comes first
  auto inputs = at::zeros({rows, length}, at::kLong);
  auto* cells = inputs.data_ptr<int64_t>();
  std::vector<int64_t> positions;
  std::vector<int64_t> targets;
  for (int64_t row = 0; row < rows; ++row) {
    const auto& window = windows[begin + static_cast<size_t>(row)];
    const int64_t size = window.num_inputs();
    std::copy_n(window.tokens.begin(), size, cells + row * length);
    for (int64_t at = size - window.num_scored; at < size; ++at) {
      positions.push_back(row * length + at);
      targets.push_back(window.tokens[static_cast<size_t>(at) + 1]);
    }
  }
  return {inputs, at::tensor(positions, at::kLong), at::tensor(targets, at::kLong)};
}

/// What the head says about the scored tokens of a batch, on the CPU.
struct TokenScores {
  at::Tensor log_probabilities;  ///< [M] fp64
  at::Tensor greedy;             ///< [M] bool
  at::Tensor loops;              ///< [M] fp64, mean over layers
};

TokenScores score_batch(const LanguageModel& model, const Batch& batch,
                        const ForwardOptions& options) {
  const auto hidden = model.hidden(batch.inputs.to(model.device()), options);
  const auto positions = batch.positions.to(model.device());
  const auto targets = batch.targets.to(model.device());
  const auto states = hidden.states.flatten(0, 1).index_select(0, positions);  // [M, D]
  std::vector<at::Tensor> log_probabilities;
  std::vector<at::Tensor> greedy;
  for (int64_t begin = 0; begin < states.size(0); begin += kHeadRows) {
    const int64_t rows = std::min(kHeadRows, states.size(0) - begin);
    const auto logits = model.head(states.narrow(0, begin, rows), options);  // [M', V]
    const auto wanted = targets.narrow(0, begin, rows).unsqueeze(1);         // [M', 1]
    log_probabilities.push_back(at::log_softmax(logits, 1).gather(1, wanted).squeeze(1));
    greedy.push_back(std::get<1>(logits.max(1, /*keepdim=*/true)).eq(wanted).squeeze(1));
  }
  const auto loops = hidden.expected_loops.mean(0).flatten().index_select(0, positions);  // [M]
  return {at::cat(log_probabilities).to(at::kCPU, at::kDouble), at::cat(greedy).to(at::kCPU),
          loops.to(at::kCPU, at::kDouble)};
}

void add_scores(const TokenScores& batch, const std::vector<Window>& windows, size_t begin,
                size_t end, std::vector<ContinuationScore>& scores) {
  const auto* log_probabilities = batch.log_probabilities.data_ptr<double>();
  const auto* greedy = batch.greedy.data_ptr<bool>();
  const auto* loops = batch.loops.data_ptr<double>();
  int64_t at = 0;
  for (size_t i = begin; i < end; ++i) {
    auto& score = scores[static_cast<size_t>(windows[i].request)];
    for (int64_t token = 0; token < windows[i].num_scored; ++token, ++at) {
      score.log_probability += log_probabilities[at];
      score.loops += loops[at];
      score.greedy = score.greedy && greedy[at];
    }
  }
}

}  // namespace

EncodedRequests::EncodedRequests(const Tokenizer& tokenizer,
                                 const std::vector<ScoreRequest>& requests, int64_t max_length) {
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& request = requests[i];
    if (request.continuation.empty()) {
      fail(ErrorCode::kData,
           "score: expected a continuation of at least one byte, got none behind "
           "\"{}\"",
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
    blank_.push_back(score);
    std::move(windows.begin(), windows.end(), std::back_inserter(windows_));
  }
  // Stable: the batches, and so the results, are the same in every run.
  std::stable_sort(windows_.begin(), windows_.end(), [](const Window& a, const Window& b) {
    return a.tokens.size() > b.tokens.size();
  });
}

std::vector<ContinuationScore> score_requests(const LanguageModel& model,
                                              const EncodedRequests& requests,
                                              const ScoreOptions& options) {
  const at::NoGradGuard no_grad;
  const ForwardOptions forward{.compute_dtype = options.compute_dtype,
                               .max_loops = options.max_loops,
                               .cache = nullptr,
                               .recorder = nullptr};
  auto scores = requests.blank_scores();
  const auto& windows = requests.windows();
  for (size_t begin = 0; begin < windows.size();) {
    const auto rows = std::max<int64_t>(1, options.batch_tokens / windows[begin].num_inputs());
    const auto end = std::min(windows.size(), begin + static_cast<size_t>(rows));
    const auto batch = make_batch(windows, begin, end);
    add_scores(score_batch(model, batch, forward), windows, begin, end, scores);
    begin = end;
    if (options.on_progress) {
      options.on_progress(static_cast<int64_t>(end), static_cast<int64_t>(windows.size()));
    }
  }
  for (const auto& score : scores) {
    if (!std::isfinite(score.log_probability)) {
      fail(ErrorCode::kCheckpoint,
           "score: expected finite log-probabilities, got {}. The model's weights hold values that "
           "are not finite",
           score.log_probability);
    }
  }
  return scores;
}

}  // namespace loopbank
