#ifdef LOOPBANK_HAS_ONEDNN

#include "loopbank/ops/gemm/onednn.h"

#ifdef LOOPBANK_ONEDNN_FILE

#include <dlfcn.h>

#include "loopbank/support/error.h"

namespace loopbank::ops {
namespace {

[[noreturn]] void fail_to_find(const char* what) {
  fail(ErrorCode::kDevice,
       "oneDNN: expected {} in {}, got: {}. Install the libdnnl that loopbank was built with "
       "(Debian 12: libdnnl2), or build with -DLOOPBANK_ONEDNN=OFF.",
       what, LOOPBANK_ONEDNN_FILE, ::dlerror());
}

void* open_onednn() {
  void* library = ::dlopen(LOOPBANK_ONEDNN_FILE, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (library == nullptr) {
    fail_to_find("a library");
  }
  return library;
}

}  // namespace

void* find_in_onednn(const char* function) {
  static void* const library = open_onednn();
  void* address = ::dlsym(library, function);
  if (address == nullptr) {
    fail_to_find(function);
  }
  return address;
}

}  // namespace loopbank::ops

#endif
#endif
