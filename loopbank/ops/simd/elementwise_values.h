#pragma once
/// Values of either dtype as the vector kernels of the ops on rows take them: a pointer that knows
/// its type. Free of ATen, which code compiled once for every instruction set does without.

#include <cstdint>

namespace loopbank::ops {

/// fp32 or bf16 values in memory, not owned; null where an op has none or needs none.
struct ConstValues {
  const void* data = nullptr;
  bool is_bf16 = false;
};

/// The same to write to.
struct Values {
  void* data = nullptr;
  bool is_bf16 = false;

  operator ConstValues() const { return {data, is_bf16}; }
};

/// visit(const float*) or visit(const uint16_t*).
template <typename Visit>
void with_type(ConstValues values, const Visit& visit) {
  if (values.is_bf16) {
    visit(static_cast<const uint16_t*>(values.data));
  } else {
    visit(static_cast<const float*>(values.data));
  }
}

/// visit(float*) or visit(uint16_t*).
template <typename Visit>
void with_type(Values values, const Visit& visit) {
  if (values.is_bf16) {
    visit(static_cast<uint16_t*>(values.data));
  } else {
    visit(static_cast<float*>(values.data));
  }
}

}  // namespace loopbank::ops
