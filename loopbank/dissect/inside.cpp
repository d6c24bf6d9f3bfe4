#include "loopbank/dissect/inside.h"

#include <ATen/core/Reduction.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "loopbank/dissect/inside_exit.h"
#include "loopbank/dissect/token_statistics.h"
#include "loopbank/infer/utf8_stream.h"
#include "loopbank/model/cost.h"
#include "loopbank/model/loop_scale.h"
#include "loopbank/ops/check.h"
#include "loopbank/support/error.h"
#include "loopbank/support/rounding.h"
#include "loopbank/train/validation.h"

namespace loopbank {
namespace {

constexpr int64_t kHeadRows = 512;  // a head call: 100 MB of logits at V 50304

/// What one forward pass did at every token, on the CPU in fp64.
struct PassValues {
  at::Tensor loss;            ///< [B, T] nats of the target
  at::Tensor expected_loops;  ///< [L, B, T]
  at::Tensor
      local_gate;  ///< [L, B, T] mean over loops, 0 without a bank; undefined: no layer has one
  at::Tensor global_gate;  ///< likewise
};

/// - log p(target) of every position.
at::Tensor losses_of(const LanguageModel& model, const at::Tensor& states,
                     const at::Tensor& targets, const ForwardOptions& options) {
  const auto rows = states.flatten(0, 1);     // [B T, D]
  const auto wanted = targets.reshape({-1});  // [B T]
  std::vector<at::Tensor> losses;
  for (int64_t begin = 0; begin < rows.size(0); begin += kHeadRows) {
    const int64_t end = std::min(begin + kHeadRows, rows.size(0));
    losses.push_back(at::cross_entropy_loss(model.head(rows.slice(0, begin, end), options),
                                            wanted.slice(0, begin, end), {}, at::Reduction::None));
  }
  // abs: certain of its target, a model has a loss of -0.
  return at::cat(losses).abs().view(targets.sizes()).to(at::kCPU, at::kDouble);  // [B, T]
}

/// Means over loops, [L, B, T] with 0 for a layer without the bank; undefined where all are.
at::Tensor gate_by_layer(const std::vector<at::Tensor>& layers, const at::Tensor& loops) {
  auto gates = at::zeros_like(loops);
  bool any = false;
  for (size_t l = 0; l < layers.size(); ++l) {
    if (layers[l].defined()) {
      gates[static_cast<int64_t>(l)].copy_(layers[l].mean(0));
      any = true;
    }
  }
  return any ? gates : at::Tensor();
}

/// Moments by layer and loop of what a recorder holds.
class LayerMoments {
 public:
  /// @param layers  one [N_l, B, T] a layer, or undefined
  void add(const std::vector<at::Tensor>& layers) {
    moments_.resize(layers.size());
    for (size_t l = 0; l < layers.size(); ++l) {
      if (layers[l].defined()) {
        moments_[l].add(layers[l]);
      }
    }
  }
  [[nodiscard]] ByLayerAndLoop mean() const { return each(&TokenMoments::mean); }
  /// Nothing where no layer had values.
  [[nodiscard]] std::optional<GateStatistics> statistics() const {
    auto means = mean();
    const bool any =
        std::any_of(means.begin(), means.end(), [](const auto& layer) { return !layer.empty(); });
    return any ? std::optional(GateStatistics{std::move(means), each(&TokenMoments::spread)})
               : std::nullopt;
  }

 private:
  [[nodiscard]] ByLayerAndLoop each(std::vector<double> (TokenMoments::*figure)() const) const {
    ByLayerAndLoop all;
    for (const auto& layer : moments_) {
      all.push_back((layer.*figure)());
    }
    return all;
  }

  std::vector<TokenMoments> moments_;
};

/// The first tokens of the rows, from the second on: the first is not predicted. It goes on into
/// the next row where that one begins with the last target of this one.
class TokenView {
 public:
  TokenView(const Tokenizer& tokenizer, int64_t limit)
      : tokenizer_(tokenizer), limit_(static_cast<size_t>(limit)) {}

  void add(const Batch& rows, const PassValues& values) {
    const auto losses = values.loss.accessor<double, 2>();
    for (int64_t row = 0; row < rows.tokens.size(0) && tokens_.size() < limit_; ++row) {
      const auto first = rows.tokens[row][0].item<int64_t>();
      if (any_rows_ && first != next_) {
        limit_ = tokens_.size();  // another text begins
        return;
      }
      for (int64_t t = any_rows_ ? 0 : 1; t < rows.tokens.size(1) && tokens_.size() < limit_; ++t) {
        add_token(rows.tokens[row][t].item<int64_t>(), t > 0 ? losses[row][t - 1] : next_loss_,
                  values, row, t);
      }
      any_rows_ = true;
      next_ = rows.targets[row][-1].item<int64_t>();
      next_loss_ = losses[row][rows.tokens.size(1) - 1];
    }
  }

  [[nodiscard]] std::vector<InsideOfToken> tokens() && {
    if (!tokens_.empty()) {
      tokens_.back().text += text_.finish();
    }
    return std::move(tokens_);
  }

 private:
  void add_token(int64_t id, double loss, const PassValues& values, int64_t row, int64_t t) {
    const auto at = [&](const at::Tensor& by_layer) {
      ByLayer figures;
      if (by_layer.defined()) {
        const auto table = by_layer.accessor<double, 3>();
        for (int64_t l = 0; l < table.size(0); ++l) {
          figures.push_back(table[l][row][t]);
        }
      }
      return figures;
    };
    tokens_.push_back({.text = text_.push(tokenizer_.token_bytes(static_cast<TokenId>(id))),
                       .loss = loss,
                       .expected_loops = at(values.expected_loops),
                       .local_gate = at(values.local_gate),
                       .global_gate = at(values.global_gate)});
  }

  const Tokenizer& tokenizer_;
  size_t limit_;
  bool any_rows_ = false;
  int64_t next_ = 0;        // the target behind the last row
  double next_loss_ = 0.0;  // of it
  Utf8Stream text_;
  std::vector<InsideOfToken> tokens_;
};

/// Classes of the T tokens of each row and of the target behind them, [B, T + 1] int64.
at::Tensor classes_of(const Tokenizer& tokenizer, const Batch& rows) {
  const auto ids = at::cat({rows.tokens, rows.targets.narrow(1, -1, 1)}, 1);  // [B, T + 1]
  auto classes = at::empty_like(ids, at::MemoryFormat::Contiguous);
  for (int64_t row = 0; row < ids.size(0); ++row) {
    const auto* begin = ids.data_ptr<int64_t>() + row * ids.size(1);
    const std::vector<TokenId> text(begin, begin + ids.size(1));
    const auto found = classify_tokens(tokenizer, text);
    std::transform(found.begin(), found.end(), classes.data_ptr<int64_t>() + row * ids.size(1),
                   [](TokenClass token_class) { return static_cast<int64_t>(token_class); });
  }
  return classes;
}

/// Everything that is summed over passes.
class Measurement {
 public:
  Measurement(const LanguageModel& model, const Tokenizer& tokenizer, const InsideOptions& options)
      : model_(model),
        tokenizer_(tokenizer),
        options_(options),
        num_budgets_(std::max<int64_t>(1, model.config().most_loops())),
        bytes_(bytes_of_tokens(tokenizer)),
        view_(tokenizer, options.view_tokens),
        nats_(static_cast<size_t>(num_budgets_)) {}

  /// Passes that `add` makes.
  /// That the targets stand for.
  [[nodiscard]] int64_t num_bytes() const { return num_bytes_; }
  [[nodiscard]] int64_t num_passes() const { return num_budgets_; }

  /// @param on_pass  called before every pass
  void add(const Batch& rows, const std::function<void()>& on_pass) {
    const auto classes = classes_of(tokenizer_, rows);
    const auto tokens = rows.tokens.to(model_.device());
    const auto targets = rows.targets.to(model_.device());
    for (int64_t budget = 1; budget < num_budgets_; ++budget) {
      on_pass();
      const auto loss = model_.loss(tokens, targets,
                                    {.compute_dtype = options_.compute_dtype, .max_loops = budget});
      nats_[static_cast<size_t>(budget - 1)] +=
          loss.cross_entropy.item<double>() * static_cast<double>(targets.numel());
    }
    on_pass();
    const auto values = run(tokens, targets);
    nats_.back() += values.loss.sum().item<double>();
    num_tokens_ += rows.tokens.numel();
    num_bytes_ += bytes_.index_select(0, rows.targets.reshape({-1})).sum().item<int64_t>();
    add_classes(values, classes);
    view_.add(rows, values);
  }

  [[nodiscard]] Inside result(int64_t sequence_length) &&;

 private:
  /// All loops, recorded.
  PassValues run(const at::Tensor& tokens, const at::Tensor& targets) {
    Recorder recorder;
    const ForwardOptions forward{.compute_dtype = options_.compute_dtype, .recorder = &recorder};
    const auto hidden = model_.hidden(tokens, forward);
    for (auto& layer : recorder.halting) {
      layer = layer.defined() ? layer : at::ones({1, tokens.size(0), tokens.size(1)});
    }
    loops_.add(hidden.expected_loops);
    halting_.add(recorder.halting);
    state_norm_.add(recorder.state_norm);
    state_change_.add(recorder.state_change);
    local_gate_.add(recorder.local_gate);
    global_gate_.add(recorder.global_gate);
    const auto loops = hidden.expected_loops.to(at::kCPU, at::kDouble).contiguous();  // [L, B, T]
    return {.loss = losses_of(model_, hidden.states, targets,
                              {.compute_dtype = options_.compute_dtype}),
            .expected_loops = loops,
            .local_gate = gate_by_layer(recorder.local_gate, loops),
            .global_gate = gate_by_layer(recorder.global_gate, loops)};
  }

  void add_classes(const PassValues& values, const at::Tensor& classes) {
    const int64_t length = values.loss.size(1);
    const auto read = classes.narrow(1, 0, length).reshape({-1});       // [B T]
    const auto predicted = classes.narrow(1, 1, length).reshape({-1});  // [B T]
    loss_by_class_.add(values.loss.view({1, -1}), predicted);
    loops_by_class_.add(values.expected_loops.flatten(1), read);
    if (values.local_gate.defined()) {
      local_by_class_.add(values.local_gate.flatten(1), read);
    }
    if (values.global_gate.defined()) {
      global_by_class_.add(values.global_gate.flatten(1), read);
    }
  }

  [[nodiscard]] std::vector<InsideOfClass> classes() const;
  [[nodiscard]] std::vector<InsideOfBudget> budgets(int64_t sequence_length) const;
  [[nodiscard]] std::optional<ByLayerAndLoop> scales() const;

  const LanguageModel& model_;
  const Tokenizer& tokenizer_;
  const InsideOptions& options_;
  int64_t num_budgets_;
  at::Tensor bytes_;  // [V] int64
  TokenView view_;
  std::vector<double> nats_;  // of each budget
  int64_t num_tokens_ = 0;
  int64_t num_bytes_ = 0;
  TokenMoments loops_;
  LayerMoments halting_, state_norm_, state_change_, local_gate_, global_gate_;
  ClassMeans loss_by_class_{kNumTokenClasses}, loops_by_class_{kNumTokenClasses},
      local_by_class_{kNumTokenClasses}, global_by_class_{kNumTokenClasses};
};

std::vector<InsideOfClass> Measurement::classes() const {
  std::vector<InsideOfClass> all;
  for (int64_t index = 0; index < kNumTokenClasses; ++index) {
    const auto tokens = loops_by_class_.count(index);
    if (tokens == 0) {
      continue;
    }
    InsideOfClass found{.token_class = static_cast<TokenClass>(index),
                        .tokens = tokens,
                        .share = static_cast<double>(tokens) / static_cast<double>(num_tokens_),
                        .loss = std::nullopt,
                        .expected_loops = loops_by_class_.mean(index),
                        .local_gate = local_by_class_.mean(index),
                        .global_gate = global_by_class_.mean(index)};
    if (loss_by_class_.count(index) > 0) {
      found.loss = loss_by_class_.mean(index).front();
    }
    all.push_back(std::move(found));
  }
  return all;
}

std::vector<InsideOfBudget> Measurement::budgets(int64_t sequence_length) const {
  if (num_bytes_ == 0) {
    fail(ErrorCode::kData,
         "inside: expected targets that stand for text, got {} that stand for 0 bytes.",
         num_tokens_);
  }
  std::vector<InsideOfBudget> all;
  for (int64_t budget = 1; budget <= num_budgets_; ++budget) {
    const double nats = nats_[static_cast<size_t>(budget - 1)];
    if (!std::isfinite(nats)) {
      fail(ErrorCode::kCheckpoint,
           "inside: expected a finite loss, got {} with at most {} loops. The model's weights hold "
           "values that are not finite.",
           nats, budget);
    }
    all.push_back({.max_loops = budget,
                   .loss = nats / static_cast<double>(num_tokens_),
                   .bpb = nats / (std::numbers::ln2 * static_cast<double>(num_bytes_)),
                   .flops_per_token = forward_flops(model_.config(), sequence_length, budget)});
  }
  return all;
}

std::optional<ByLayerAndLoop> Measurement::scales() const {
  return model_.config().most_loops() == 0 ? std::nullopt : std::optional(loop_scales(model_));
}

Inside Measurement::result(int64_t sequence_length) && {
  return {.tokens = num_tokens_,
          .layers = model_.config().num_hidden_layers,
          .loops = num_budgets_,
          .expected_loops = loops_.mean(),
          .expected_loops_spread = loops_.spread(),
          .halting = halting_.mean(),
          .loop_scale = scales(),
          .state_norm = state_norm_.mean(),
          .state_change = state_change_.mean(),
          .local_gate = local_gate_.statistics(),
          .global_gate = global_gate_.statistics(),
          .token_classes = classes(),
          .bpb_by_loops = budgets(sequence_length),
          .exit = std::nullopt,
          .token_view = std::move(view_).tokens()};
}

}  // namespace

Inside measure_inside(const LanguageModel& model, const Tokenizer& tokenizer, const Batch& rows,
                      const InsideOptions& options) {
  if (rows.tokens.dim() != 2 || rows.tokens.numel() == 0) {
    fail(ErrorCode::kShape, "inside: expected tokens [B, T] with at least one, got {}.",
         ops::format_shape(rows.tokens.sizes()));
  }
  ops::expect_shape("inside", "targets", rows.targets, rows.tokens.sizes());
  const at::NoGradGuard no_grad;
  Measurement measurement(model, tokenizer, options);
  const int64_t num_rows = rows.tokens.size(0);
  const int64_t length = rows.tokens.size(1);
  const int64_t rows_a_pass = std::max<int64_t>(1, options.batch_tokens / length);
  const int64_t num_batches = divide_up(num_rows, rows_a_pass);
  int64_t done = 0;
  const auto on_pass = [&] {
    if (options.on_progress) {
      options.on_progress(done, num_batches * measurement.num_passes());
    }
    ++done;
  };
  for (int64_t first = 0; first < num_rows; first += rows_a_pass) {
    const auto count = std::min(rows_a_pass, num_rows - first);
    measurement.add({.tokens = rows.tokens.narrow(0, first, count),
                     .targets = rows.targets.narrow(0, first, count)},
                    on_pass);
  }
  auto inside = std::move(measurement).result(length);
  const auto& inference = options.inference;
  if (inference.exit.name() != "all" || inference.policy_in_prompt) {
    inside.exit = measure_exit(model, rows, measurement.num_bytes(), options);
  }
  return inside;
}

}  // namespace loopbank
