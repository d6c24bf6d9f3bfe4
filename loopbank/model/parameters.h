#pragma once
/// The model's parameters by name, in the order in which its parts are made (embedding, final norm,
/// head, shared memory, layers), with how each starts and whether weight decay applies to it.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/ops/quantization.h"

namespace loopbank {

/// How a parameter starts (SPEC 1, initial values).
struct Initial {
  enum class Kind { kNormal, kConstant, kXavierUniform };
  Kind kind = Kind::kConstant;
  double value = 0.0;  ///< standard deviation or constant
  /// The first element of a vector, where it differs from the others (first_loop_scale_init).
  bool has_first = false;
  double first = 0.0;
};

/// Which optimizer settings a parameter belongs to: weight decay (SPEC 3: on linear weights only) and
/// a multiplier of the learning rate for routers, memory gates, loop scales and banks.
enum class ParameterKind {
  kLinear,
  kEmbedding,
  kNorm,
  kBias,
  kLoopScale,
  kMemory,  ///< keys and values of a bank
  kRouter,  ///< linear weights that decide when a token stops
  kRouterBias,
  kMemoryGate,  ///< linear weights that decide how much of a bank is taken
  kMemoryGateBias,
};

/// Where a parameter's values come from: in a run that starts from an existing model, old and new
/// ones may learn at different rates.
enum class Origin {
  kDrawn,  ///< initial values
  kTaken,  ///< those of an existing model
  kAdded,  ///< initial values, beside others that were taken
};

struct Parameter {
  std::string name;
  at::Tensor value;  ///< fp32, a leaf that requires grad
  ParameterKind kind = ParameterKind::kLinear;
  Initial initial;
  /// Of a model that was read from 8 or 4 bit: the codes that `value` was made of.
  std::optional<ops::Quantized> codes = {};
  uint32_t version_of_codes = 0;  ///< of `value`: one that was changed since has no codes
  Origin origin = Origin::kDrawn;

  [[nodiscard]] bool decays() const {
    return kind == ParameterKind::kLinear || kind == ParameterKind::kRouter ||
           kind == ParameterKind::kMemoryGate;
  }
};

/// An ordered list of parameters. Modules keep handles to the same tensors, so loading and
/// optimizing write in place.
class Parameters {
 public:
  explicit Parameters(at::Device device) : device_(device) {}

  /// Adds a parameter (values undefined until `initialize` or a load).
  at::Tensor add(const std::string& name, at::IntArrayRef shape, ParameterKind kind,
                 const Initial& initial);

  /// Draws every value anew; each parameter has its own stream named by (seed, name), so adding
  /// one leaves the others as they were.
  void initialize(uint64_t seed);

  /// Says where the values of a parameter of `all()` come from.
  void set_origin(size_t index, Origin origin) { list_.at(index).origin = origin; }

  /// Sets a parameter of `all()` to what codes stand for, and keeps them.
  void set_from_codes(size_t index, ops::Quantized codes);
  /// The codes of 8 or 4 bits that a parameter's value was made of, or null: it was not, or has been
  /// changed since.
  [[nodiscard]] const ops::Quantized* codes_of(const at::Tensor& value, int64_t bits) const;

  [[nodiscard]] const std::vector<Parameter>& all() const { return list_; }
  /// @throws Error kCheckpoint for an unknown name
  [[nodiscard]] const Parameter& get(const std::string& name) const;
  /// Number of values over all parameters.
  [[nodiscard]] int64_t count() const;
  [[nodiscard]] at::Device device() const { return device_; }

 private:
  at::Device device_;
  std::vector<Parameter> list_;
};

}  // namespace loopbank
