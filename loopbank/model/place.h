#pragma once
/// Where a block runs: loop t of layer l of a pass, with the layer's prepared weights.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "loopbank/model/parameters.h"
#include "loopbank/model/pass.h"
#include "loopbank/ops/linear.h"

namespace loopbank {

/// The weights of one layer, prepared for its products once, however many loops read them. What the
/// forward pass prepared is freed at the end of the layer, so that only one layer's are in memory at
/// a time; autograd keeps what the backward pass needs.
class LayerWeights {
 public:
  /// @param compute  dtype of the products
  /// @param format   for passes of inference without end: laid out in it for products of one row and
  ///                 of many alike, which do not depend on the company of a row
  /// @param parameters  of the model, where their stored codes are to be used; outlive this
  explicit LayerWeights(at::ScalarType compute, std::optional<ops::WeightFormat> format = {},
                        const Parameters* parameters = nullptr)
      : compute_(compute), format_(format), parameters_(parameters) {}
  LayerWeights(const LayerWeights&) = delete;
  LayerWeights& operator=(const LayerWeights&) = delete;
  ~LayerWeights();

  /// The weights of linear layers that read one input, as one product. The key is the whole list of
  /// masters: lists that share some of them are different products.
  [[nodiscard]] const std::shared_ptr<ops::LinearWeights>& prepared(
      const std::vector<at::Tensor>& masters);

  /// What `open` gave when it was first called.
  [[nodiscard]] const OpenBank& opened(const std::function<OpenBank()>& open);

 private:
  [[nodiscard]] std::shared_ptr<ops::LinearWeights> prepare(
      const std::vector<at::Tensor>& masters) const;
  [[nodiscard]] std::shared_ptr<ops::InferenceWeights> lay_out(
      const std::vector<at::Tensor>& masters) const;
  /// Whether the ops for inference take them.
  [[nodiscard]] bool stay_prepared(const at::Tensor& example) const;

  at::ScalarType compute_;
  std::optional<ops::WeightFormat> format_;
  const Parameters* parameters_;
  std::map<std::vector<const void*>, std::shared_ptr<ops::LinearWeights>> by_masters_;
  std::optional<OpenBank> bank_;
};

/// Those tokens of a pass of inference that a loop is run for.
struct Thinking {
  std::vector<int64_t> rows;  ///< ascending, of the pass's R
  ops::RotaryTable angles;    ///< of their positions
};

/// Handed down from the model to every module of a block; what it refers to outlives it.
struct Place {
  const Pass& pass;
  LayerWeights& weights;
  int64_t layer = 0;                   ///< from 0
  int64_t loop = 1;                    ///< t, from 1
  const Thinking* thinking = nullptr;  ///< null: all tokens of the pass

  [[nodiscard]] Place at_loop(int64_t t) const { return {pass, weights, layer, t, thinking}; }
  /// Of the tokens that the loop is run for.
  [[nodiscard]] const ops::RotaryTable& angles() const {
    return thinking != nullptr ? thinking->angles : pass.angles;
  }
  [[nodiscard]] LoopRows rows() const {
    return {layer, loop, thinking != nullptr ? &thinking->rows : nullptr};
  }
};

}  // namespace loopbank
