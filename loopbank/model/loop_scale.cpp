#include "loopbank/model/loop_scale.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/softplus.h>

namespace loopbank {

at::Tensor loop_scale(const at::Tensor& alpha, std::string_view kind) {
  return kind == "linear" ? alpha : at::softplus(alpha);
}

}  // namespace loopbank
