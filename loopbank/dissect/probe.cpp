#include "loopbank/dissect/probe.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

constexpr const char* kForm = "{\"tokens\": [[id, ...], ...]}";

void append_row(const std::filesystem::path& path, const nlohmann::json& row, size_t number,
                int64_t vocab_size, std::vector<int64_t>& ids) {
  if (!row.is_array() || row.empty()) {
    fail(ErrorCode::kData, "{}: expected a list of at least one id in tokens[{}], got {}.",
         path.string(), number, row.dump().substr(0, 40));
  }
  for (size_t i = 0; i < row.size(); ++i) {
    const auto& id = row[i];
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= vocab_size) {
      fail(ErrorCode::kData, "{}: expected an id in [0, {}) in tokens[{}][{}], got {}.",
           path.string(), vocab_size, number, i, id.dump());
    }
    ids.push_back(id.get<int64_t>());
  }
}

void check_input(const LanguageModel& model, const at::Tensor& tokens,
                 const ProbeOptions& options) {
  const auto& config = model.config();
  if (tokens.dim() != 2 || tokens.size(1) > config.max_position_embeddings) {
    fail(ErrorCode::kShape,
         "probe: expected rows of at most {} tokens (max_position_embeddings), got {}. Shorten the "
         "rows.",
         config.max_position_embeddings, tokens.dim() == 2 ? tokens.size(1) : tokens.numel());
  }
  (void)config.budget_loops(options.max_loops, "probe");
}

/// The next token of each position within its row; none behind the last.
at::Tensor next_tokens(const at::Tensor& tokens) {
  auto targets = at::full_like(tokens, kIgnoreTarget);  // [B, T]
  const int64_t length = tokens.size(1);
  targets.narrow(1, 0, length - 1).copy_(tokens.narrow(1, 1, length - 1));
  return targets;
}

/// What each layer recorded, [N_l, B, T], as one tensor [L, N, B, T] with 0 where a layer has no
/// such loop or nothing of the kind.
at::Tensor stack_layers(const std::vector<at::Tensor>& layers, int64_t num_loops,
                        const at::Tensor& tokens) {
  auto stacked = at::zeros({static_cast<int64_t>(layers.size()), num_loops, tokens.size(0),
                            tokens.size(1)});  // [L, N, B, T]
  for (size_t l = 0; l < layers.size(); ++l) {
    if (layers[l].defined()) {
      stacked[static_cast<int64_t>(l)].narrow(0, 0, layers[l].size(0)).copy_(layers[l].detach());
    }
  }
  return stacked;
}

bool any_defined(const std::vector<at::Tensor>& layers) {
  return std::any_of(layers.begin(), layers.end(),
                     [](const at::Tensor& layer) { return layer.defined(); });
}

void add_recorded(const Recorder& recorder, const LanguageModel& model, const at::Tensor& tokens,
                  NamedTensors& named) {
  const int64_t num_layers = model.config().num_hidden_layers;
  auto halting = recorder.halting;
  halting.resize(static_cast<size_t>(num_layers));
  const int64_t num_loops = std::max<int64_t>(1, model.config().most_loops());
  for (auto& layer : halting) {
    if (!layer.defined()) {
      layer = at::ones({1, tokens.size(0), tokens.size(1)});  // a dense layer runs once
    }
  }
  named.emplace_back("halting", stack_layers(halting, num_loops, tokens));
  const auto add_gate = [&](const char* name, std::vector<at::Tensor> layers) {
    if (any_defined(layers)) {
      layers.resize(static_cast<size_t>(num_layers));
      named.emplace_back(name, stack_layers(layers, num_loops, tokens));
    }
  };
  add_gate("local_gate", recorder.local_gate);
  add_gate("global_gate", recorder.global_gate);
}

/// d loss / d parameter for every parameter, without touching what the parameters hold.
void add_gradients(const LanguageModel& model, const at::Tensor& loss, NamedTensors& named) {
  std::vector<at::Tensor> values;
  for (const auto& parameter : model.parameters().all()) {
    values.push_back(parameter.value);
  }
  const auto gradients =
      torch::autograd::grad({loss}, values, /*grad_outputs=*/{}, /*retain_graph=*/false,
                            /*create_graph=*/false, /*allow_unused=*/true);
  for (size_t i = 0; i < values.size(); ++i) {
    named.emplace_back("grad." + model.parameters().all()[i].name, gradients[i].defined()
                                                                       ? gradients[i].to_dense()
                                                                       : at::zeros_like(values[i]));
  }
}

}  // namespace

at::Tensor read_probe_tokens(const std::filesystem::path& path, int64_t vocab_size) {
  const auto json = read_json_file(path, {.expected = kForm});
  const auto rows = json.is_object() ? json.value("tokens", nlohmann::json()) : nlohmann::json();
  if (!rows.is_array() || rows.empty()) {
    fail(ErrorCode::kData, "{}: expected {} with at least one row, got {}.", path.string(), kForm,
         json.dump().substr(0, 40));
  }
  std::vector<int64_t> ids;
  for (size_t i = 0; i < rows.size(); ++i) {
    append_row(path, rows[i], i, vocab_size, ids);
    if (rows[i].size() != rows[0].size()) {
      fail(ErrorCode::kData,
           "{}: expected rows of one length, got {} ids in tokens[0] and {} in "
           "tokens[{}].",
           path.string(), rows[0].size(), rows[i].size(), i);
    }
  }
  return at::tensor(ids, at::kLong).view({static_cast<int64_t>(rows.size()), -1});  // [B, T]
}

NamedTensors probe(const LanguageModel& model, const at::Tensor& tokens,
                   const ProbeOptions& options) {
  check_input(model, tokens, options);
  const auto input = tokens.to(model.device());
  NamedTensors named;
  Recorder recorder;
  ForwardOptions forward{.compute_dtype = options.compute_dtype,
                         .max_loops = options.max_loops,
                         .recorder = &recorder};
  {
    const at::NoGradGuard no_grad;
    const auto output = model.forward(input, forward);
    named.emplace_back("logits", output.logits);
    named.emplace_back("expected_loops", output.expected_loops);
  }
  add_recorded(recorder, model, tokens, named);
  forward.recorder = nullptr;
  const at::AutoGradMode grad_mode(options.gradients);
  const auto loss = model.loss(input, next_tokens(input), forward).total;
  named.emplace_back("loss", loss.detach());
  if (options.gradients) {
    add_gradients(model, loss, named);
  }
  for (auto& [name, tensor] : named) {
    tensor = tensor.to(at::kCPU, at::kFloat).contiguous();
  }
  return named;
}

}  // namespace loopbank
