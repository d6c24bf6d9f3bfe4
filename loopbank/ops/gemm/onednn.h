#pragma once
/// oneDNN's C++ interface for the files that call it, linked or opened at run time.
///
/// The system's LibTorch links the same libdnnl as we do, and this header is <oneapi/dnnl/dnnl.hpp>
/// alone. A LibTorch that comes whole (pip's wheel) has another oneDNN inside. It hides its
/// functions but not its templates, nor does libdnnl, and one of them is what std::call_once runs
/// to make the fp32 kernels: linked beside each other, libdnnl runs LibTorch's and finds its own
/// kernels missing (torch 2.11 and oneDNN 2.6.3 on AVX2: "could not execute a primitive"). The
/// other order of linking swaps the two. So there LOOPBANK_ONEDNN_FILE names libdnnl, which is
/// opened at the first call, looks for its symbols in itself first (RTLD_DEEPBIND) and shows them
/// to nobody (RTLD_LOCAL).
///
/// Rejected: -Bsymbolic, which binds our symbols and not libdnnl's; dlmopen, which brings a second
/// OpenMP with threads of its own; the oneDNN inside LibTorch, of which no function is exported.

#ifdef LOOPBANK_ONEDNN_FILE

#include <oneapi/dnnl/dnnl.h>

namespace loopbank::ops {

/// The address of a function in LOOPBANK_ONEDNN_FILE, which the first call opens.
/// @throws Error kDevice when the file or the function is not there
[[nodiscard]] void* find_in_onednn(const char* function);

template <auto* function>
class OpenedFunction;

/// Stands for the C function of the same type: looks up its address once, then calls it.
template <typename Result, typename... Arguments, Result (*function)(Arguments...)>
class OpenedFunction<function> {
 public:
  constexpr explicit OpenedFunction(const char* name) : name_(name) {}
  Result operator()(Arguments... arguments) const {
    static const auto address = reinterpret_cast<Result (*)(Arguments...)>(find_in_onednn(name_));
    return address(arguments...);
  }

 private:
  const char* name_;
};

}  // namespace loopbank::ops

/// What dnnl.hpp calls from within this namespace is found here before the C functions are. One
/// that is not listed fails to link.
namespace dnnl {
#define LOOPBANK_OPENED(name) inline constexpr loopbank::ops::OpenedFunction<&::name> name(#name)
LOOPBANK_OPENED(dnnl_engine_create);
LOOPBANK_OPENED(dnnl_engine_destroy);
LOOPBANK_OPENED(dnnl_memory_destroy);
LOOPBANK_OPENED(dnnl_memory_get_engine);
LOOPBANK_OPENED(dnnl_memory_get_memory_desc);
LOOPBANK_OPENED(dnnl_memory_set_data_handle_v2);
LOOPBANK_OPENED(dnnl_post_ops_append_sum);
LOOPBANK_OPENED(dnnl_post_ops_create);
LOOPBANK_OPENED(dnnl_post_ops_destroy);
LOOPBANK_OPENED(dnnl_primitive_attr_create);
LOOPBANK_OPENED(dnnl_primitive_attr_destroy);
LOOPBANK_OPENED(dnnl_primitive_attr_set_post_ops);
LOOPBANK_OPENED(dnnl_primitive_attr_set_scratchpad_mode);
LOOPBANK_OPENED(dnnl_primitive_create);
LOOPBANK_OPENED(dnnl_primitive_desc_destroy);
LOOPBANK_OPENED(dnnl_primitive_desc_query_md);
LOOPBANK_OPENED(dnnl_primitive_destroy);
LOOPBANK_OPENED(dnnl_primitive_execute);
LOOPBANK_OPENED(dnnl_reorder_primitive_desc_create);
LOOPBANK_OPENED(dnnl_stream_create);
LOOPBANK_OPENED(dnnl_stream_destroy);
LOOPBANK_OPENED(dnnl_stream_wait);
#if DNNL_VERSION_MAJOR >= 3
LOOPBANK_OPENED(dnnl_matmul_primitive_desc_create);
LOOPBANK_OPENED(dnnl_memory_create_v2);
LOOPBANK_OPENED(dnnl_memory_desc_clone);
LOOPBANK_OPENED(dnnl_memory_desc_create_with_strides);
LOOPBANK_OPENED(dnnl_memory_desc_create_with_tag);
LOOPBANK_OPENED(dnnl_memory_desc_destroy);
LOOPBANK_OPENED(dnnl_memory_desc_get_size_v2);
LOOPBANK_OPENED(dnnl_memory_desc_query_v2);
#else
LOOPBANK_OPENED(dnnl_matmul_desc_init);
LOOPBANK_OPENED(dnnl_memory_create);
LOOPBANK_OPENED(dnnl_memory_desc_get_size);
LOOPBANK_OPENED(dnnl_memory_desc_init_by_strides);
LOOPBANK_OPENED(dnnl_memory_desc_init_by_tag);
LOOPBANK_OPENED(dnnl_post_ops_append_sum_v2);
LOOPBANK_OPENED(dnnl_primitive_desc_iterator_create);
LOOPBANK_OPENED(dnnl_primitive_desc_iterator_destroy);
LOOPBANK_OPENED(dnnl_primitive_desc_iterator_fetch);
#endif
#undef LOOPBANK_OPENED
}  // namespace dnnl

#endif

#include <oneapi/dnnl/dnnl.hpp>
