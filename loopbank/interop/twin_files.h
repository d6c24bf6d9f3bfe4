#pragma once
/// The Python files of reference/twin as texts built into the program: the model in plain PyTorch and
/// what transformers needs around it. An export holds them byte for byte.

#include <string_view>
#include <vector>

namespace loopbank {

struct TwinFile {
  std::string_view name;  ///< modeling_loopbank.py
  std::string_view text;
};

[[nodiscard]] const std::vector<TwinFile>& twin_files();

}  // namespace loopbank
