#include "loopbank/ops/thread_scope.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace loopbank::ops {
namespace {

int threads_of_loops() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

void set_threads_of_loops([[maybe_unused]] int threads) {
#ifdef _OPENMP
  omp_set_num_threads(threads);
#endif
}

}  // namespace

ThreadScope::ThreadScope(int threads) : before_(threads_of_loops()) {
  if (threads > 0 && threads != before_) {
    set_threads_of_loops(threads);
  }
}

ThreadScope::~ThreadScope() {
  if (threads_of_loops() != before_) {
    set_threads_of_loops(before_);
  }
}

}  // namespace loopbank::ops
