/// safetensors files: what is read comes back when it is written.
///
/// Input: the file.

#include "loopbank/model/safetensors.h"

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "target.h"

namespace loopbank {
namespace {

bool same_bytes(const at::Tensor& left, const at::Tensor& right) {
  const auto* bytes = static_cast<const char*>(left.data_ptr());
  return left.dtype() == right.dtype() && left.sizes() == right.sizes() &&
         std::equal(bytes, bytes + left.nbytes(), static_cast<const char*>(right.data_ptr()));
}

void expect_it_comes_back(const SafetensorsContent& content) {
  static const fuzz::Folder folder;
  const auto path = folder.path() / "written.safetensors";
  write_safetensors(path, content.tensors, content.metadata);
  auto again = read_safetensors(path);
  fuzz::require(again.metadata == content.metadata, "metadata comes back");
  fuzz::require(again.tensors.size() == content.tensors.size(), "every tensor comes back");
  for (const auto& [name, tensor] : content.tensors) {
    const auto found = std::find_if(again.tensors.begin(), again.tensors.end(),
                                    [&wanted = name](const auto& t) { return t.first == wanted; });
    fuzz::require(found != again.tensors.end() && same_bytes(found->second, tensor),
                  "a tensor comes back as it was");
  }
}

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  static fuzz::InputFile file;
  SafetensorsContent content;
  if (fuzz::accepted([&] { content = read_safetensors(file.with(fuzz::as_text(data, size))); })) {
    expect_it_comes_back(content);
  }
  return 0;
}
