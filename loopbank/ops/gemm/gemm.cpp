#include "loopbank/ops/gemm.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>

#include <array>
#include <cstdlib>
#include <optional>

#include "loopbank/ops/check.h"
#include "loopbank/ops/gemm/scratchpad.h"
#include "loopbank/ops/gemm/tile_gemm.h"
#include "loopbank/ops/thread_scope.h"
#include "loopbank/support/error.h"

#ifdef LOOPBANK_HAS_ONEDNN

#include <unordered_map>

#include "loopbank/ops/gemm/onednn.h"
#endif

namespace loopbank::ops {
namespace {

bool is_16_or_32_bit(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16;
}

void check_product(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
  if (a.columns != b.rows || c.rows != a.rows || c.columns != b.columns) {
    fail(ErrorCode::kShape,
         "gemm: expected [M, K] times [K, N] into [M, N], got {} times {} into {}.",
         format_shape({a.rows, a.columns}), format_shape({b.rows, b.columns}),
         format_shape({c.rows, c.columns}));
  }
  const bool fits = is_16_or_32_bit(a.dtype) && b.dtype == a.dtype &&
                    (c.dtype == at::kFloat || (c.dtype == a.dtype && !accumulate));
  if (!fits) {
    fail(ErrorCode::kDtype,
         "gemm: expected factors of one dtype, Float or BFloat16, into Float (or, not adding up, "
         "into their own), got {} times {} into {}{}.",
         c10::toString(a.dtype), c10::toString(b.dtype), c10::toString(c.dtype),
         accumulate ? " adding up" : "");
  }
}

/// The matrix as a tensor over the same memory.
at::Tensor as_tensor(const Matrix& x) {
  return at::from_blob(x.data, {x.rows, x.columns}, {x.row_stride, x.column_stride},
                       at::TensorOptions().dtype(x.dtype));
}

#ifdef LOOPBANK_HAS_ONEDNN

using dnnl::memory;

const dnnl::engine& engine() {
  static const dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}

dnnl::stream& stream() {
  thread_local dnnl::stream instance(engine());
  return instance;
}

memory::data_type data_type(at::ScalarType type) {
  return type == at::kFloat ? memory::data_type::f32 : memory::data_type::bf16;
}

memory::desc describe(const Matrix& x) {
  // A row or column alone has no next: its stride must still not overlap, for oneDNN to know the
  // layout.
  const auto row_stride = x.rows == 1 ? x.columns * x.column_stride : x.row_stride;
  const auto column_stride =
      x.columns == 1 && x.row_stride == 1 && x.rows > 1 ? x.rows : x.column_stride;
  return {memory::dims{x.rows, x.columns}, data_type(x.dtype),
          memory::dims{row_stride, column_stride}};
}

/// Those that oneDNN should plan a product for. Inside a parallel region it would otherwise plan for
/// all and run on one.
int threads_now() {
  return at::in_parallel_region() ? 1 : at::get_num_threads();
}

/// A product of one shape and layout, ready to run on any data.
struct Product {
  dnnl::matmul primitive;
  memory a, b, c, scratchpad;
  size_t scratchpad_bytes = 0;
};

dnnl::matmul::primitive_desc describe_product(const memory::desc& a, const memory::desc& b,
                                              const memory::desc& c, bool accumulate) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (accumulate) {
    dnnl::post_ops add;
    add.append_sum(1.0F);
    attributes.set_post_ops(add);
  }
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), a, b, c, attributes};
#else
  return {dnnl::matmul::desc(a, b, c), attributes, engine()};
#endif
}

/// Empty where oneDNN has no kernel for it on this CPU.
std::optional<dnnl::matmul::primitive_desc> try_describe(const memory::desc& a,
                                                         const memory::desc& b,
                                                         const memory::desc& c, bool accumulate) {
  const ThreadScope planning(threads_now());
  try {
    return describe_product(a, b, c, accumulate);
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented) {
      throw;
    }
    return std::nullopt;
  }
}

std::unique_ptr<Product> make_product(const dnnl::matmul::primitive_desc& description) {
  const ThreadScope planning(threads_now());
  return std::make_unique<Product>(
      Product{.primitive = dnnl::matmul(description),
              .a = memory(description.src_desc(), engine(), nullptr),
              .b = memory(description.weights_desc(), engine(), nullptr),
              .c = memory(description.dst_desc(), engine(), nullptr),
              .scratchpad = memory(description.scratchpad_desc(), engine(), nullptr),
              .scratchpad_bytes = description.scratchpad_desc().get_size()});
}

void run(Product& product, void* a, void* b, void* c) {
  thread_local Scratchpad scratchpad;
  product.a.set_data_handle(a);
  product.b.set_data_handle(b);
  product.c.set_data_handle(c);
  product.scratchpad.set_data_handle(scratchpad.of_size(product.scratchpad_bytes));
  product.primitive.execute(stream(), {{DNNL_ARG_SRC, product.a},
                                       {DNNL_ARG_WEIGHTS, product.b},
                                       {DNNL_ARG_DST, product.c},
                                       {DNNL_ARG_SCRATCHPAD, product.scratchpad}});
  stream().wait();
}

/// Sizes, strides, dtypes, threads: everything a primitive depends on.
using Key = std::array<int64_t, 14>;

struct HashKey {
  size_t operator()(const Key& key) const {
    uint64_t hash = 0;
    for (const auto value : key) {
      hash = (hash ^ static_cast<uint64_t>(value)) * 0x9E3779B97F4A7C15U;
      hash ^= hash >> 29U;
    }
    return hash;
  }
};

/// Products of this thread, so that none runs twice at a time and nothing is locked.
std::unordered_map<Key, std::unique_ptr<Product>, HashKey>& products() {
  // Evaluation meets many lengths: past this many the store starts anew.
  constexpr size_t kMostProducts = 1024;
  thread_local std::unordered_map<Key, std::unique_ptr<Product>, HashKey> instance;
  if (instance.size() > kMostProducts) {
    instance.clear();
  }
  return instance;
}

Key key_of(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
  return {a.rows,
          a.columns,
          c.columns,
          a.row_stride,
          a.column_stride,
          b.row_stride,
          b.column_stride,
          c.row_stride,
          c.column_stride,
          static_cast<int64_t>(a.dtype),
          static_cast<int64_t>(c.dtype),
          accumulate ? 1 : 0,
          threads_now(),
          0};
}

/// Null where oneDNN has no kernel for it.
Product* find_product(const Key& key, const memory::desc& a, const memory::desc& b,
                      const memory::desc& c, bool accumulate) {
  auto& known = products();
  auto found = known.find(key);
  if (found == known.end()) {
    const auto description = try_describe(a, b, c, accumulate);
    found = known.emplace(key, description ? make_product(*description) : nullptr).first;
  }
  return found->second.get();
}

/// oneDNN 3.7 writes a column alone (brg_matmul:avx512_core) as if nothing lay between its rows.
bool loses_gaps(const Matrix& c) {
  return DNNL_VERSION_MAJOR >= 3 && c.columns == 1 && c.rows > 1 && c.row_stride != 1;
}

/// Makes such a column without the gaps, by `multiply`, and puts it where it belongs.
template <typename Multiply>
void gemm_without_gaps(const Matrix& c, bool accumulate, Multiply multiply) {
  const at::NoGradGuard no_grad;
  const auto column = at::empty({c.rows, 1}, at::TensorOptions().dtype(c.dtype));
  multiply(as_matrix(column));
  accumulate ? as_tensor(c).add_(column) : as_tensor(c).copy_(column);
}

#endif

/// An fp32 copy of the left factor, multiplied by `multiply(left, into, accumulate)`, which has the
/// right one in fp32 too: for bf16 that no kernel takes.
template <typename Multiply>
void multiply_with_wide_left(const Matrix& a, const Matrix& c, bool accumulate, Multiply multiply) {
  const at::NoGradGuard no_grad;
  const auto left = as_tensor(a).to(at::kFloat);
  if (c.dtype == at::kFloat) {
    return multiply(left, c, accumulate);
  }
  const auto product = at::empty({c.rows, c.columns});
  multiply(left, as_matrix(product), /*accumulate=*/false);
  as_tensor(c).copy_(product);
}

/// In fp32 throughout.
void gemm_through_fp32(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
  multiply_with_wide_left(a, c, accumulate,
                          [&](const at::Tensor& left, const Matrix& into, bool add) {
                            const auto right = as_tensor(b).to(at::kFloat);
#ifdef LOOPBANK_HAS_ONEDNN
                            if (a.dtype != at::kFloat) {
                              return gemm(as_matrix(left), as_matrix(right), into, add);
                            }
#endif
                            auto result = as_tensor(into);
                            const auto product = at::mm(left, right);
                            add ? result.add_(product) : result.copy_(product);
                          });
}

}  // namespace

void gemm(const Matrix& a, const Matrix& b, const Matrix& c, bool accumulate) {
  check_product(a, b, c, accumulate);
  if (takes_tile_gemm(a, b, c)) {
    tile_gemm(*tile_kernels(), a, b, c, accumulate);
    return;
  }
#ifdef LOOPBANK_HAS_ONEDNN
  if (loses_gaps(c)) {
    return gemm_without_gaps(c, accumulate, [&](const Matrix& column) { gemm(a, b, column); });
  }
  if (auto* product = find_product(key_of(a, b, c, accumulate), describe(a), describe(b),
                                   describe(c), accumulate)) {
    run(*product, a.data, b.data, c.data);
    return;
  }
#endif
  gemm_through_fp32(a, b, c, accumulate);
}

void gemm(const Matrix& a, const Matrix& b, c10::ArrayRef<Matrix> results, bool accumulate) {
  int64_t rows = 0;
  bool takes_tiles = true;
  for (const auto& c : results) {
    const auto part = a.row_range(rows, c.rows);
    check_product(part, b, c, accumulate);
    takes_tiles = takes_tiles && takes_tile_gemm(part, b, c);
    rows += c.rows;
  }
  if (rows != a.rows) {
    fail(ErrorCode::kShape, "gemm: expected results of {} rows together, got {}.", a.rows, rows);
  }
  if (takes_tiles) {
    tile_gemm(*tile_kernels(), a, b, results, accumulate);
    return;
  }
  int64_t first = 0;
  for (const auto& c : results) {
    gemm(a.row_range(first, c.rows), b, c, accumulate);
    first += c.rows;
  }
}

#ifdef LOOPBANK_HAS_ONEDNN

bool onednn_takes_bf16() {
  const memory::desc square({16, 16}, memory::data_type::bf16, memory::format_tag::ab);
  return try_describe(square, square, square, /*accumulate=*/false).has_value();
}

struct PackedMatrix::State {
  memory::desc layout;
  at::Tensor data;  // bytes
  Matrix shape;     // sizes and dtype; its data are not read
  int64_t rows = 0;
  int threads = 0;
  std::optional<PackedMatrix> wide{};  ///< in place of `data`: fp32, where no kernel takes bf16
};

PackedMatrix::PackedMatrix(const Matrix& b, int64_t rows) {
  auto state = std::make_shared<State>();
  state->shape = {nullptr, b.dtype, b.rows, b.columns, b.columns, 1};
  state->rows = rows;
  state->threads = threads_now();
  const auto type = data_type(b.dtype);
  const auto any = [&](int64_t m, int64_t n) {
    return memory::desc({m, n}, type, memory::format_tag::any);
  };
  const memory::desc row_major_a({rows, b.rows}, type, memory::format_tag::ab);
  const memory::desc row_major_c({rows, b.columns}, type, memory::format_tag::ab);
  const auto best =
      try_describe(row_major_a, any(b.rows, b.columns), row_major_c, /*accumulate=*/false);
  if (!best && b.dtype == at::kBFloat16) {
    const at::NoGradGuard no_grad;
    state->wide.emplace(as_matrix(as_tensor(b).to(at::kFloat)), rows);
    state_ = std::move(state);
    return;
  }
  // Without a kernel of its own the copy is row-major.
  state->layout =
      best ? best->weights_desc() : memory::desc({b.rows, b.columns}, type, memory::format_tag::ab);
  state->data = at::empty({static_cast<int64_t>(state->layout.get_size())}, at::kByte);
  memory from(describe(b), engine(), b.data);
  memory to(state->layout, engine(), state->data.data_ptr());
  dnnl::reorder(from, to).execute(stream(), from, to);
  stream().wait();
  state_ = std::move(state);
}

void gemm(const Matrix& a, const PackedMatrix& b, const Matrix& c) {
  const auto& state = *b.state_;
  check_product(a, state.shape, c, /*accumulate=*/false);
  if (loses_gaps(c)) {
    return gemm_without_gaps(c, /*accumulate=*/false, [&](const Matrix& y) { gemm(a, b, y); });
  }
  if (state.wide) {
    return multiply_with_wide_left(a, c, /*accumulate=*/false,
                                   [&](const at::Tensor& left, const Matrix& into, bool /*add*/) {
                                     gemm(as_matrix(left), *state.wide, into);
                                   });
  }
  auto key = key_of(a, state.shape, c, /*accumulate=*/false);
  key[5] = state.rows;  // which layout was chosen
  key[6] = state.threads;
  key[13] = 1;
  if (auto* product =
          find_product(key, describe(a), state.layout, describe(c), /*accumulate=*/false)) {
    run(*product, a.data, state.data.data_ptr(), c.data);
    return;
  }
  const auto plain = at::empty({state.shape.rows, state.shape.columns},
                               at::TensorOptions().dtype(state.shape.dtype));
  memory from(state.layout, engine(), state.data.data_ptr());
  memory to(describe(as_matrix(plain)), engine(), plain.data_ptr());
  dnnl::reorder(from, to).execute(stream(), from, to);
  stream().wait();
  gemm(a, as_matrix(plain), c);
}

#else

bool onednn_takes_bf16() {
  return true;
}

struct PackedMatrix::State {
  at::Tensor copy;  // [K, N]
};

PackedMatrix::PackedMatrix(const Matrix& b, int64_t /*rows*/)
    : state_(std::make_shared<State>(State{as_tensor(b).clone(at::MemoryFormat::Contiguous)})) {}

void gemm(const Matrix& a, const PackedMatrix& b, const Matrix& c) {
  gemm(a, as_matrix(b.state_->copy), c);
}

#endif

}  // namespace loopbank::ops
