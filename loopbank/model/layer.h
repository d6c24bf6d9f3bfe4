#pragma once
/// What the model asks of a layer, dense or adaptive, and the dense one.

#include <ATen/core/Tensor.h>

#include <string>

#include "loopbank/model/block.h"

namespace loopbank {

struct LayerOutput {
  at::Tensor state;           ///< y [B, T, D] in the state type
  at::Tensor expected_loops;  ///< n [B, T] in loops; 1 for a dense layer
};

class Layer {
 public:
  Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;
  virtual ~Layer() = default;

  /// @param x      [B, T, D] in the state type
  /// @param place  of the layer, at its first loop
  [[nodiscard]] virtual LayerOutput forward(const at::Tensor& x, const Place& place) const = 0;
};

/// A dense layer: f(h; 1), or f(h; 1/l), f(h; 1/sqrt l) by `depth_scale`.
class DenseLayer : public Layer {
 public:
  /// @param layer  l - 1, counted from 0
  DenseLayer(Parameters& parameters, const std::string& name, const ModelConfig& config,
             int64_t layer);

  [[nodiscard]] LayerOutput forward(const at::Tensor& x, const Place& place) const override;

 private:
  Block f_;
  at::Tensor s_;  // undefined for 1
};

}  // namespace loopbank
