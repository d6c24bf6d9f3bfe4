#include "loopbank/dissect/thinking.h"

#include <ATen/core/Reduction.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <utility>

#include "loopbank/dissect/thinking_members.h"
#include "loopbank/eval/scorer.h"
#include "loopbank/support/error.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

constexpr uint64_t kResamplingSeed = 20260;

/// Tokens of one window, with what is known of those that are scored.
struct AnswerWindow {
  std::vector<int64_t> tokens;
  std::vector<AnswerToken> scored;  // the last tokens of the window that have steps
  std::vector<int64_t> targets;     // index of each in `tokens`
};

/// Bytes that each scored token of a request adds to the text.
std::vector<std::string> bytes_of_scored(const Tokenizer& tokenizer,
                                         std::span<const Window> windows) {
  std::vector<std::string> bytes;
  for (const auto& window : windows) {
    const std::vector<TokenId> ids(window.tokens.begin(), window.tokens.end());
    for (auto i = ids.size() - static_cast<size_t>(window.num_scored); i < ids.size(); ++i) {
      bytes.emplace_back(tokenizer.token_bytes_behind(std::span(ids).first(i), ids[i]));
    }
  }
  return bytes;
}

/// The most steps of each token's bytes: 0 for one without a byte of the answer, which ends the
/// continuation.
std::vector<int64_t> steps_of_tokens(const std::vector<std::string>& bytes,
                                     const Instance& instance) {
  const auto& continuation = instance.choices[static_cast<size_t>(instance.label)].continuation;
  const auto& steps = instance.steps;
  std::string spelt;
  for (const auto& of_token : bytes) {
    spelt += of_token;
  }
  const auto answer = continuation.size() < steps.size()
                          ? continuation
                          : continuation.substr(continuation.size() - steps.size());
  if (answer.size() != steps.size() || !spelt.ends_with(answer)) {
    fail(ErrorCode::kData,
         "thinking: expected tokens that spell the {} bytes with steps at the end of \"{}\", got "
         "\"{}\". Take a tokenizer that keeps every byte of a text.",
         steps.size(), continuation, spelt);
  }
  std::vector<int64_t> most;
  size_t at = 0;
  const size_t first = spelt.size() - steps.size();
  for (const auto& of_token : bytes) {
    most.push_back(0);
    for (const auto end = at + of_token.size(); at < end; ++at) {
      most.back() = std::max(most.back(), at < first ? 0 : steps[at - first]);
    }
  }
  return most;
}

void append_windows(const Tokenizer& tokenizer, const Instance& instance, int64_t question,
                    int64_t max_length, std::vector<AnswerWindow>& all) {
  const auto& right = instance.choices[static_cast<size_t>(instance.label)];
  const EncodedRequests encoded(
      tokenizer, {{.context = right.context, .continuation = right.continuation}}, max_length);
  const auto steps = steps_of_tokens(bytes_of_scored(tokenizer, encoded.windows()), instance);
  int64_t place = 0;
  size_t next = 0;
  for (const auto& window : encoded.windows()) {
    AnswerWindow answer{.tokens = window.tokens, .scored = {}, .targets = {}};
    const auto size = std::ssize(window.tokens);
    for (auto i = size - window.num_scored; i < size; ++i, ++next) {
      if (steps[next] > 0) {
        answer.scored.push_back(
            {.question = question, .place = place++, .before = i, .steps = steps[next]});
        answer.targets.push_back(i);
      }
    }
    if (!answer.scored.empty()) {
      all.push_back(std::move(answer));
    }
  }
}

/// One pass over windows, shorter ones filled up behind their end, where no token that counts looks.
void measure_windows(const LanguageModel& model, std::span<AnswerWindow*> windows,
                     const ThinkingOptions& options) {
  const auto length = std::ssize(windows.back()->tokens) - 1;  // of the longest
  auto tokens = at::zeros({std::ssize(windows), length}, at::kLong);
  std::vector<int64_t> places;  // in [B T], where each token is predicted
  std::vector<int64_t> targets;
  for (int64_t row = 0; row < std::ssize(windows); ++row) {
    const auto& window = *windows[static_cast<size_t>(row)];
    const auto count = std::ssize(window.tokens) - 1;
    tokens[row].narrow(0, 0, count).copy_(at::tensor(window.tokens, at::kLong).narrow(0, 0, count));
    for (const auto target : window.targets) {
      places.push_back(row * length + target - 1);
      targets.push_back(window.tokens[static_cast<size_t>(target)]);
    }
  }
  const ForwardOptions forward{.compute_dtype = options.compute_dtype};
  const auto hidden = model.hidden(tokens.to(model.device()), forward);
  const auto index = at::tensor(places, at::kLong).to(model.device());     // [n]
  const auto states = hidden.states.flatten(0, 1).index_select(0, index);  // [n, D]
  const auto loops = hidden.expected_loops.flatten(1)
                         .index_select(1, index)
                         .t()
                         .to(at::kCPU, at::kDouble)
                         .contiguous();  // [n, L]
  const auto wanted = at::tensor(targets, at::kLong).to(model.device());
  const auto loss =
      at::cross_entropy_loss(model.head(states, forward), wanted, {}, at::Reduction::None)
          .to(at::kCPU, at::kDouble)
          .contiguous();  // [n]
  const auto* next_loss = loss.data_ptr<double>();
  const auto* next_loops = loops.data_ptr<double>();
  for (auto* window : windows) {
    for (auto& token : window->scored) {
      token.loss = *next_loss++;
      token.loops.assign(next_loops, next_loops + loops.size(1));
      next_loops += loops.size(1);
    }
  }
}

/// Loops as they are ranked: rounded, and all alike where none is far from another, though a rounding
/// may part them.
void round_loops(std::vector<double>& loops) {
  const auto [least, most] = std::minmax_element(loops.begin(), loops.end());
  const double unit = *most - *least < kEqualLoops ? 0.0 : 1.0 / kEqualLoops;
  for (auto& value : loops) {
    value = std::round(value * unit);
  }
}

/// What of each token is correlated, in one order.
struct TokenColumns {
  std::vector<double> steps, loops, place, before, loss;
  std::vector<std::vector<double>> by_layer;  // [L]
  std::vector<int64_t> questions;

  explicit TokenColumns(const std::vector<AnswerToken>& tokens)
      : by_layer(tokens.front().loops.size()) {
    for (const auto& token : tokens) {
      steps.push_back(static_cast<double>(token.steps));
      loops.push_back(mean_of(token.loops));
      place.push_back(static_cast<double>(token.place));
      before.push_back(static_cast<double>(token.before));
      loss.push_back(token.loss);
      questions.push_back(token.question);
      for (size_t l = 0; l < by_layer.size(); ++l) {
        by_layer[l].push_back(token.loops[l]);
      }
    }
    round_loops(loops);
    for (auto& layer : by_layer) {
      round_loops(layer);
    }
  }

  [[nodiscard]] RankCorrelation of(const std::vector<double>& ranked,
                                   std::vector<std::span<const double>> given = {}) const {
    return rank_correlation(
        {.x = ranked, .y = steps, .given = std::move(given), .groups = questions}, kResamplingSeed);
  }
};

std::vector<LoopsAtSteps> means_by_steps(const std::vector<AnswerToken>& tokens) {
  std::map<int64_t, LoopsAtSteps> cells;
  for (const auto& token : tokens) {
    auto& cell = cells[token.steps];
    cell.steps = token.steps;
    cell.loops_by_layer.resize(token.loops.size(), 0.0);
    ++cell.tokens;
    for (size_t l = 0; l < token.loops.size(); ++l) {
      // A mean that moves with each token: equal loops keep it where it is.
      auto& mean = cell.loops_by_layer[l];
      mean += (token.loops[l] - mean) / static_cast<double>(cell.tokens);
    }
  }
  std::vector<LoopsAtSteps> all;
  for (auto& [steps, cell] : cells) {
    cell.loops = mean_of(cell.loops_by_layer);
    all.push_back(std::move(cell));
  }
  return all;
}

void expect_loops(const LanguageModel& model) {
  if (model.config().most_loops() < 2) {
    fail(ErrorCode::kConfig,
         "thinking: expected a model with a layer of two loops or more, got {}. Where all tokens "
         "loop alike, their loops follow nothing.",
         model.config().most_loops() == 0 ? "a dense one" : "one loop in every layer");
  }
}

}  // namespace

bool has_known_steps(const Task& task) {
  return std::any_of(task.instances.begin(), task.instances.end(),
                     [](const Instance& instance) { return !instance.steps.empty(); });
}

std::vector<AnswerToken> measure_answer_tokens(const LanguageModel& model,
                                               const Tokenizer& tokenizer, const Task& task,
                                               const ThinkingOptions& options) {
  expect_loops(model);
  if (!has_known_steps(task)) {
    fail(ErrorCode::kData,
         "{}: expected questions that tell the \"steps\" behind their answers, got {} without any. "
         "Tasks that the program makes have them (docs/tasks.md).",
         task.name, task.instances.size());
  }
  std::vector<AnswerWindow> windows;
  for (size_t q = 0; q < task.instances.size(); ++q) {
    if (!task.instances[q].steps.empty()) {
      append_windows(tokenizer, task.instances[q], static_cast<int64_t>(q),
                     model.config().max_position_embeddings, windows);
    }
  }
  std::vector<AnswerWindow*> rising(windows.size());
  std::transform(windows.begin(), windows.end(), rising.begin(),
                 [](AnswerWindow& window) { return &window; });
  std::stable_sort(rising.begin(), rising.end(), [](const auto* a, const auto* b) {
    return a->tokens.size() < b->tokens.size();
  });
  const at::NoGradGuard no_grad;
  for (size_t begin = 0; begin < rising.size();) {
    if (options.on_progress) {
      options.on_progress(static_cast<int64_t>(begin), std::ssize(rising));
    }
    size_t end = begin + 1;
    while (end < rising.size() &&
           static_cast<int64_t>((end + 1 - begin) * rising[end]->tokens.size()) <=
               options.batch_tokens) {
      ++end;
    }
    measure_windows(model, std::span(rising).subspan(begin, end - begin), options);
    begin = end;
  }
  std::vector<AnswerToken> tokens;
  for (auto& window : windows) {
    for (auto& token : window.scored) {
      if (!std::isfinite(token.loss)) {
        fail(ErrorCode::kCheckpoint,
             "thinking: expected finite losses, got {}. The model's weights hold values that are "
             "not finite.",
             token.loss);
      }
      tokens.push_back(std::move(token));
    }
  }
  return tokens;
}

LoopsAgainstSteps loops_against_steps(const std::string& task,
                                      const std::vector<AnswerToken>& tokens) {
  const TokenColumns columns(tokens);
  LoopsAgainstSteps result{
      .task = task,
      .questions = 0,
      .tokens = std::ssize(tokens),
      .by_steps = means_by_steps(tokens),
      .correlation = columns.of(columns.loops),
      .given_place = columns.of(columns.loops, {columns.place, columns.before}),
      .given_loss = columns.of(columns.loops, {columns.loss})};
  auto questions = columns.questions;
  std::sort(questions.begin(), questions.end());
  result.questions = std::unique(questions.begin(), questions.end()) - questions.begin();
  for (const auto& layer : columns.by_layer) {
    result.by_layer.push_back(columns.of(layer));
  }
  return result;
}

nlohmann::ordered_json to_json(const LoopsAgainstSteps& thinking) {
  return JsonWriter::write(thinking);
}

}  // namespace loopbank
