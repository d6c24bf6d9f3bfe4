#pragma once
/// Where a block runs: loop t of layer l of a pass, with the layer's prepared weights.

#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>

#include <cstdint>
#include <functional>
#include <list>
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

  /// Weights of linear layers that read one input.
  using Masters = c10::ArrayRef<std::reference_wrapper<const at::Tensor>>;
  /// The weights of linear layers that read one input, as one product. The key is the whole list of
  /// masters: lists that share some of them are different products.
  [[nodiscard]] const std::shared_ptr<ops::LinearWeights>& prepared(Masters masters);

  /// The layer that runs behind this one, which outlives it; null: none.
  void set_next(const LayerWeights* next) { next_ = next; }
  /// Said before loop t of N, by whoever keeps weights prepared: products of the last loops, whose
  /// own weights lie in a cache, bring those of the next layer nearer.
  void enter_loop(int64_t t, int64_t num_loops);

  /// What `open` gave when it was first called.
  [[nodiscard]] const OpenBank& opened(c10::function_ref<OpenBank()> open);

  /// s_t of a layer: what `make` gave when it was first called for the loop, where the weights stay
  /// prepared, so that no pass is differentiated; else what it gives.
  [[nodiscard]] at::Tensor scale(int64_t t, c10::function_ref<at::Tensor()> make);

 private:
  [[nodiscard]] std::shared_ptr<ops::LinearWeights> prepare(Masters masters) const;
  [[nodiscard]] std::shared_ptr<ops::InferenceWeights> lay_out(
      const std::vector<at::Tensor>& masters) const;
  /// Of the next layer's, for products of loop t.
  [[nodiscard]] ops::ReadAhead part_to_read_ahead(int64_t t, int64_t num_loops) const;
  /// Whether the ops for inference take them.
  [[nodiscard]] bool stay_prepared(const at::Tensor& example) const;

  at::ScalarType compute_;
  std::optional<ops::WeightFormat> format_;
  const Parameters* parameters_;
  const LayerWeights* next_ = nullptr;
  /// A product that was prepared; few enough to look through.
  struct Product {
    std::vector<const void*> masters;
    std::shared_ptr<ops::LinearWeights> weights;
  };
  std::list<Product> products_;  // whose elements stay where they are
  std::optional<OpenBank> bank_;
  std::vector<at::Tensor> scales_;  // by loop, from 1
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
