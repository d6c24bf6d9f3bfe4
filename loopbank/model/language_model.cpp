#include "loopbank/model/language_model.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "loopbank/model/adaptive_layer.h"
#include "loopbank/model/head_reader.h"
#include "loopbank/model/prepared_model.h"
#include "loopbank/model/recompute.h"
#include "loopbank/model/rope_scaling.h"
#include "loopbank/ops/check.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/linear.h"
#include "loopbank/ops/linear_cross_entropy.h"
#include "loopbank/ops/rows.h"
#include "loopbank/ops/workspace.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

ModelConfig validated(ModelConfig config) {
  config.validate();
  return config;
}

/// Positions that the tokens reach to.
int64_t length_of(const at::Tensor& tokens, const ForwardOptions& options) {
  if (options.context == nullptr) {
    return tokens.size(1);
  }
  const auto positions = options.context->positions();
  return *std::max_element(positions.begin(), positions.end()) + 1;
}

void check_tokens(const at::Tensor& tokens, const ForwardOptions& options,
                  const ModelConfig& config) {
  if (tokens.dim() != 2 || tokens.scalar_type() != at::kLong || tokens.numel() == 0) {
    fail(ErrorCode::kShape, "forward: expected tokens [B, T] int64 with at least one, got {} {}.",
         ops::format_shape(tokens.sizes()), c10::toString(tokens.scalar_type()));
  }
  ops::expect_ids("forward", "tokens", tokens, config.vocab_size);
  if (options.context != nullptr &&
      (tokens.size(0) != 1 || tokens.size(1) != std::ssize(options.context->positions()))) {
    fail(ErrorCode::kShape, "forward: expected tokens [1, {}] as in the context, got {}.",
         options.context->positions().size(), ops::format_shape(tokens.sizes()));
  }
  if (const auto length = length_of(tokens, options); length > config.max_position_embeddings) {
    fail(ErrorCode::kShape,
         "forward: expected at most {} tokens a sequence (max_position_embeddings), got {}. "
         "Shorten the sequence or train a model with more positions.",
         config.max_position_embeddings, length);
  }
}

/// The rotary angles of the tokens' positions.
ops::RotaryTable angles_of(const at::Tensor& tokens, const ForwardOptions& options,
                           const ops::RotaryFrequencies& frequencies) {
  if (options.context == nullptr) {
    return ops::rotary_table(0, tokens.size(1), frequencies);
  }
  const auto positions = options.context->positions();
  if (options.prepared != nullptr && tokens.is_cpu()) {
    return options.prepared->angles(positions);
  }
  return ops::rotary_table(at::tensor(at::ArrayRef<int64_t>(positions.data(), positions.size())),
                           frequencies);
}

/// Of a pass with prepared weights; else null.
ops::Workspace* workspace_of(const ForwardOptions& options) {
  return options.prepared != nullptr ? &options.prepared->workspace() : nullptr;
}

/// A layer, kept for the backward pass or computed again there.
LayerOutput run(const Layer& layer, const at::Tensor& x, const Place& place) {
  if (!place.pass.recomputes(Recompute::kLayer)) {
    return layer.forward(x, place);
  }
  const auto whole = [&layer](const at::Tensor& h, const OpenBanks&, const Place& in) {
    const auto [y, n] = layer.forward(h, in);
    return std::vector{y, n};
  };
  const auto out = kept_or_recomputed(Recompute::kLayer, whole, x, /*banks=*/{}, place);
  return {.state = out[0], .expected_loops = out[1]};
}

}  // namespace

struct LanguageModel::Parts {
  Parts(ModelConfig model_config, at::Device device)
      : config(validated(std::move(model_config))),
        parameters(device),
        frequencies(rotary_frequencies(config, device)) {
    const Initial normal{Initial::Kind::kNormal, kInitialDeviation};
    embedding = parameters.add("embedding.weight", {config.vocab_size, config.hidden_size},
                               ParameterKind::kEmbedding, normal);
    final_norm.emplace(parameters, "final_norm", config.hidden_size, config.rms_norm_eps);
    head = config.tie_word_embeddings
               ? embedding
               : parameters.add("head.weight", {config.vocab_size, config.hidden_size},
                                ParameterKind::kLinear, normal);
    if (config.has_memory()) {
      memory.emplace(parameters, "memory", config);
    }
    for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
      layers.push_back(make_layer(l));
    }
  }

  std::unique_ptr<Layer> make_layer(int64_t l) {
    const auto name = fmt::format("layers.{}", l);
    if (config.loops(l) == 0) {
      return std::make_unique<DenseLayer>(parameters, name, config, l);
    }
    return std::make_unique<AdaptiveLayer>(parameters, name, config, l,
                                           memory ? &*memory : nullptr);
  }

  ModelConfig config;
  Parameters parameters;
  ops::RotaryFrequencies frequencies;
  at::Tensor embedding;  // [V, D]
  std::optional<RmsNorm> final_norm;
  at::Tensor head;  // [V, D]
  std::optional<SharedMemory> memory;
  std::vector<std::unique_ptr<Layer>> layers;

  /// [B, T] to [B, T, D]. The gradient holds the rows of the batch's tokens alone, unless the head
  /// adds to it.
  at::Tensor embed(const at::Tensor& tokens) const {
    if (!at::GradMode::is_enabled() && tokens.is_cpu() && tokens.is_contiguous()) {
      const std::span ids(tokens.data_ptr<int64_t>(), static_cast<size_t>(tokens.numel()));
      return ops::reshaped(ops::gather_rows(embedding, ids),
                           {tokens.size(0), tokens.size(1), config.hidden_size});
    }
    const bool sparse = !config.tie_word_embeddings && ops::takes_fused(embedding);
    return at::embedding(embedding, tokens, /*padding_idx=*/-1, /*scale_grad_by_freq=*/false,
                         sparse);
  }

  /// A pass over these tokens, checked.
  Pass open(const at::Tensor& tokens, const ForwardOptions& options) const {
    check_tokens(tokens, options, config);
    Pass pass(options);
    pass.angles = angles_of(tokens, options, frequencies);
    if (memory) {
      const auto open_bank = [&] { return memory->open(pass); };
      pass.global_bank =
          options.prepared != nullptr ? options.prepared->shared().opened(open_bank) : open_bank();
    }
    const bool reads =
        options.context != nullptr &&
        std::any_of(options.context->exits().begin(), options.context->exits().end(), reads_head);
    if (reads) {
      pass.read_out = [this](const at::Tensor& y, const Pass& in) {
        return logits(rms_norm(y.unsqueeze(0), *final_norm).in(in.compute_dtype()), in)[0];
      };
    }
    return pass;
  }

  /// After the final norm, with the pass's context and recorder served.
  Hidden run_layers(const at::Tensor& tokens, const Pass& pass) const {
    if (pass.recorder() != nullptr) {
      pass.recorder()->reset(layers.size());
    }
    auto h = ops::in_type(embed(tokens), pass.state_dtype());  // [B, T, D]
    c10::SmallVector<at::Tensor, 32> n;                        // of each layer [B, T]
    for (size_t l = 0; l < layers.size(); ++l) {
      const auto layer = static_cast<int64_t>(l);
      LayerWeights of_this_pass(pass.compute_dtype());
      auto& weights = pass.prepared() != nullptr ? pass.prepared()->layer(layer) : of_this_pass;
      const auto out = run(*layers[l], h, {pass, weights, layer});
      h = out.state;
      n.push_back(out.expected_loops);
    }
    return {.states = rms_norm(h, *final_norm).in(pass.compute_dtype()),  // [B, T, D]
            .expected_loops = ops::stacked(n)};                           // [L, B, T]
  }

  /// [..., D] to [..., V], in the state type.
  at::Tensor logits(const at::Tensor& states, const Pass& pass) const {
    LayerWeights of_this_pass(pass.compute_dtype());
    auto& weights = pass.prepared() != nullptr ? pass.prepared()->shared() : of_this_pass;
    const auto x = ops::in_type(states, pass.compute_dtype());
    return ops::in_type(ops::linear(x, weights.prepared({head})), pass.state_dtype());
  }

  /// (mean n - 1) / (N - 1), the mean over the layers that may loop more than once.
  at::Tensor ponder(const at::Tensor& expected_loops) const {
    std::vector<at::Tensor> terms;
    for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
      if (config.loops(l) > 1) {
        terms.push_back((expected_loops[l].mean() - 1.0) /
                        static_cast<double>(config.loops(l) - 1));
      }
    }
    return terms.empty() ? at::zeros({}, expected_loops.options()) : at::stack(terms).mean();
  }
};

LanguageModel::LanguageModel(ModelConfig config, at::Device device)
    : parts_(std::make_unique<Parts>(std::move(config), device)) {}
LanguageModel::~LanguageModel() = default;
LanguageModel::LanguageModel(LanguageModel&&) noexcept = default;

ModelOutput LanguageModel::forward(const at::Tensor& tokens, const ForwardOptions& options) const {
  const ops::WorkspaceScope scope(workspace_of(options));
  const auto pass = parts_->open(tokens, options);
  const auto out = parts_->run_layers(tokens, pass);
  return {.logits = parts_->logits(out.states, pass),  // [B, T, V]
          .expected_loops = out.expected_loops};       // [L, B, T]
}

LanguageModel::Hidden LanguageModel::hidden(const at::Tensor& tokens,
                                            const ForwardOptions& options) const {
  const ops::WorkspaceScope scope(workspace_of(options));
  return parts_->run_layers(tokens, parts_->open(tokens, options));
}

at::Tensor LanguageModel::head(const at::Tensor& states, const ForwardOptions& options) const {
  const ops::WorkspaceScope scope(workspace_of(options));
  return parts_->logits(states, Pass(options));
}

LossOutput LanguageModel::loss(const at::Tensor& tokens, const at::Tensor& targets,
                               const ForwardOptions& options) const {
  if (targets.sizes() != tokens.sizes()) {
    fail(ErrorCode::kShape, "loss: expected targets of shape {}, got {}.",
         ops::format_shape(tokens.sizes()), ops::format_shape(targets.sizes()));
  }
  const auto out = hidden(tokens, options);
  LossOutput loss;
  loss.expected_loops = out.expected_loops;  // [L, B, T]
  loss.ponder = parts_->ponder(out.expected_loops);
  loss.cross_entropy = ops::linear_cross_entropy(out.states.flatten(0, 1), parts_->head,
                                                 targets.reshape(-1), kIgnoreTarget);
  loss.total = loss.cross_entropy;
  if (const double weight = options.ponder_weight.value_or(parts_->config.ponder_weight);
      weight > 0.0) {
    loss.total = loss.total + loss.ponder * weight;
  }
  return loss;
}

const ModelConfig& LanguageModel::config() const {
  return parts_->config;
}
Parameters& LanguageModel::parameters() {
  return parts_->parameters;
}
const Parameters& LanguageModel::parameters() const {
  return parts_->parameters;
}
at::Device LanguageModel::device() const {
  return parts_->parameters.device();
}

}  // namespace loopbank
