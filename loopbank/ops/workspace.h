#pragma once
/// Tensors that are used again: the results of ops in a pass of inference, whose steps ask for the
/// same few sizes over and over.
///
/// Why: a tensor of a decoding step holds a few KB, and making it by at::empty, with dispatcher and
/// three allocations, takes longer than filling it. A workspace keeps what it once made and hands a
/// tensor out again when nobody else holds it or a view of it. So results are ordinary tensors, to be
/// kept as long as one likes; a kept one is simply not handed out again.
///
/// Rejected: an arena that is reset after each step (what outlives the step would have to be copied,
/// and nothing tells who forgot to).

#include <ATen/core/Tensor.h>

#include <array>
#include <cstddef>
#include <vector>

namespace loopbank::ops {

/// Not for several threads at the same time.
class Workspace {
 public:
  /// A dense tensor on the CPU with whatever its memory last held.
  /// @param sizes  at most 2^18 bytes are kept; larger ones come from at::empty
  /// @param type   fp32, bf16 and int64 are kept; others come from at::empty
  [[nodiscard]] at::Tensor tensor(at::IntArrayRef sizes, at::ScalarType type);

  /// The memory of x under other sizes and strides, from a value of its storage on.
  [[nodiscard]] at::Tensor view(const at::Tensor& x, at::IntArrayRef sizes, at::IntArrayRef strides,
                                int64_t offset);

  /// Tensors that are kept, in use or not, views left out.
  [[nodiscard]] size_t num_tensors() const;

 private:
  /// Tensors of up to so many bytes.
  struct Shelf {
    std::vector<at::Tensor> tensors;
    size_t next = 0;  // where to look first
  };
  static constexpr size_t kSmallestBits = 8;
  static constexpr size_t kLargestBits = 18;
  using Shelves = std::array<Shelf, kLargestBits - kSmallestBits + 1>;
  static constexpr size_t kTypes = 3;  // fp32, bf16, int64
  std::array<Shelves, kTypes> shelves_;
  std::array<std::vector<at::Tensor>, kTypes> views_;  // those that nobody holds look at nothing
};

/// Until its end the results of this thread's ops come from a workspace.
class WorkspaceScope {
 public:
  /// @param workspace  outlives the scope; null, or where graphs are built: as without the scope
  explicit WorkspaceScope(Workspace* workspace);
  ~WorkspaceScope();
  WorkspaceScope(const WorkspaceScope&) = delete;
  WorkspaceScope& operator=(const WorkspaceScope&) = delete;

 private:
  Workspace* before_;
};

/// Whether results of this thread come from a workspace, so that no graph is built.
[[nodiscard]] bool has_workspace();

/// What an op writes its result to, on the CPU, values undefined: from this thread's workspace, else
/// by at::empty.
[[nodiscard]] at::Tensor new_tensor(at::IntArrayRef sizes, at::ScalarType type);

/// A tensor like x in device and dtype, each value the same.
[[nodiscard]] at::Tensor new_filled(at::IntArrayRef sizes, double value, const at::Tensor& like);

/// The memory of a dense x under other sizes: x.view(sizes).
[[nodiscard]] at::Tensor reshaped(const at::Tensor& x, at::IntArrayRef sizes);

/// Values of x from `offset` of its own on: x.as_strided(sizes, strides, x's offset + offset).
[[nodiscard]] at::Tensor strided(const at::Tensor& x, at::IntArrayRef sizes,
                                 at::IntArrayRef strides, int64_t offset);

/// [n, ...]: at::stack(parts).
[[nodiscard]] at::Tensor stacked(at::TensorList parts);

/// x in `type`: x itself where it is in it.
[[nodiscard]] at::Tensor in_type(const at::Tensor& x, at::ScalarType type);

}  // namespace loopbank::ops
