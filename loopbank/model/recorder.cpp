#include "loopbank/model/recorder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

#include <cmath>

namespace loopbank {

void Recorder::reset(size_t num_layers) {
  for (auto* values : {&halting, &local_gate, &global_gate, &state_norm, &state_change}) {
    values->assign(num_layers, at::Tensor());
  }
}

void Recorder::record_read(const MemoryRead& read) {
  auto& gates = (read.global ? global_gate : local_gate)[static_cast<size_t>(read.layer)];
  const auto mean = read.gate.detach().mean(-1).unsqueeze(0);  // [1, B, T]
  gates = gates.defined() ? at::cat({gates, mean}) : mean;     // [t, B, T]
  if (on_read) {
    on_read(read);
  }
}

void Recorder::record_halting(int64_t layer, const at::Tensor& probabilities) {
  halting[static_cast<size_t>(layer)] = probabilities.detach();
}

void Recorder::record_states(int64_t layer, const at::Tensor& x,
                             const std::vector<at::Tensor>& states) {
  const at::NoGradGuard no_grad;
  const auto length = [](const at::Tensor& h) { return at::linalg_vector_norm(h, 2, {-1}); };
  std::vector<at::Tensor> lengths{length(x)};  // [B, T]
  std::vector<at::Tensor> changes;
  auto before = x;
  for (const auto& h : states) {
    changes.push_back(length(h - before) / lengths.back());
    lengths.push_back(length(h));
    before = h;
  }
  const auto width = static_cast<double>(x.size(-1));
  state_norm[static_cast<size_t>(layer)] = at::stack(lengths) / std::sqrt(width);  // [N + 1, B, T]
  state_change[static_cast<size_t>(layer)] = at::stack(changes);                   // [N, B, T]
}

}  // namespace loopbank
