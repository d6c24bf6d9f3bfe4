#include "loopbank/eval/scorer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "loopbank/eval/python_text.h"
#include "loopbank/infer/engine.h"
#include "loopbank/support/error.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {
namespace {

/// Tokens of a request and where those that are scored begin.
std::pair<std::vector<TokenId>, size_t> encode_pair(const Tokenizer& tokenizer,
                                                    const ScoreRequest& request) {
  const std::string whole_text = std::string(request.context) + std::string(request.continuation);
  // White space that ends the context is scored with the continuation.
  const auto context_text = python_rstrip(request.context);
  auto context = tokenizer.encode(context_text);
  auto whole = tokenizer.encode(whole_text);
  if (whole.size() <= context.size() ||
      !std::equal(context.begin(), context.end(), whole.begin())) {
    const auto continuation =
        tokenizer.encode(std::string_view(whole_text).substr(context_text.size()));
    whole = context;
    whole.insert(whole.end(), continuation.begin(), continuation.end());
  }
  if (const auto& prefix = tokenizer.text_prefix(); !prefix.empty()) {
    whole.insert(whole.begin(), prefix.begin(), prefix.end());
    return {std::move(whole), context.size() + prefix.size()};
  }
  if (context.empty()) {
    const auto bos = tokenizer.special_ids().bos;
    whole.insert(whole.begin(), bos ? *bos : tokenizer.end_of_text());
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

/// The requests [begin, end) of a rank: every rank's are consecutive, so that they share beginnings,
/// and have nearly as many tokens.
struct RequestShare {
  int64_t begin = 0;
  int64_t end = 0;
  [[nodiscard]] bool holds(int64_t request) const { return request >= begin && request < end; }
};

RequestShare share_of(const EncodedRequests& requests, const Ranks& ranks) {
  const auto count = static_cast<int64_t>(requests.blank_scores().size());
  std::vector<int64_t> tokens(static_cast<size_t>(count));
  int64_t total = 0;
  for (const auto& window : requests.windows()) {
    tokens[static_cast<size_t>(window.request)] += window.num_inputs();
    total += window.num_inputs();
  }
  // A request belongs to the rank in whose part of all tokens it begins.
  RequestShare share{.begin = count, .end = count};
  int64_t before = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t owner = total == 0 ? 0 : before * ranks.size() / total;
    if (owner >= ranks.rank()) {
      share.begin = std::min(share.begin, i);
    }
    if (owner > ranks.rank()) {
      share.end = i;
      break;
    }
    before += tokens[static_cast<size_t>(i)];
  }
  return share;
}

/// What a rank tells of each request of its share.
constexpr size_t kNumbersOfRequest = 3;

/// Every rank's scores and counts, so that all have all.
void gather_scores(ScoredRequests& scored, const RequestShare& share, const Ranks& ranks) {
  if (ranks.is_alone()) {
    return;
  }
  std::vector<double> mine = {static_cast<double>(scored.cost.computed_tokens),
                              static_cast<double>(scored.cost.head_rows)};
  const size_t num_counts = mine.size();
  for (int64_t i = share.begin; i < share.end; ++i) {
    const auto& score = scored.scores[static_cast<size_t>(i)];
    mine.insert(mine.end(), {score.log_probability, score.loops, score.greedy ? 1.0 : 0.0});
  }
  scored.cost.computed_tokens = scored.cost.head_rows = 0;
  size_t next = 0;  // request
  for (const auto& theirs : ranks.gather(mine)) {
    scored.cost.computed_tokens += static_cast<int64_t>(theirs[0]);
    scored.cost.head_rows += static_cast<int64_t>(theirs[1]);
    for (size_t at = num_counts; at < theirs.size(); at += kNumbersOfRequest, ++next) {
      auto& score = scored.scores[next];
      score.log_probability = theirs[at];
      score.loops = theirs[at + 1];
      score.greedy = theirs[at + 2] != 0.0;
    }
  }
}

/// Throws for a log-probability that is not finite.
void expect_finite(const std::vector<ContinuationScore>& scores) {
  for (const auto& score : scores) {
    if (!std::isfinite(score.log_probability)) {
      fail(ErrorCode::kCheckpoint,
           "score: expected finite log-probabilities, got {}. The model's weights hold values that "
           "are not finite.",
           score.log_probability);
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
  const Stopwatch watch;
  Engine engine(model, {.compute_dtype = options.compute_dtype,
                        .batch_tokens = options.batch_tokens,
                        .share_beginnings = options.share_prefixes});
  ScoredRequests scored{.scores = requests.blank_scores(), .cost = {}};
  const auto share = share_of(requests, options.ranks);
  std::map<RequestId, int64_t> asked;  // to the request that a window scores
  for (const auto& window : requests.windows()) {
    scored.cost.tokens += window.num_inputs();
    if (!share.holds(window.request)) {
      continue;
    }
    auto request = Request::scoring({window.tokens.begin(), window.tokens.end()},
                                    static_cast<int64_t>(window.tokens.size()) - window.num_scored);
    request.inference = options.inference;
    asked[engine.add(std::move(request))] = window.request;
  }
  int64_t done = 0;
  while (!engine.idle()) {
    const auto output = engine.step();
    for (const auto& token : output.scored) {
      auto& score = scored.scores[static_cast<size_t>(asked.at(token.request))];
      score.log_probability += token.log_probability;
      score.loops += token.loops;
      score.greedy = score.greedy && token.greedy;
    }
    done += static_cast<int64_t>(output.finished.size());
    if (options.on_progress && !output.finished.empty()) {
      options.on_progress(done, static_cast<int64_t>(asked.size()));
    }
  }
  scored.cost.computed_tokens = engine.counts().tokens;
  scored.cost.head_rows = engine.counts().head_rows;
  gather_scores(scored, share, options.ranks);
  expect_finite(scored.scores);
  scored.cost.seconds = watch.seconds();
  return scored;
}

}  // namespace loopbank
