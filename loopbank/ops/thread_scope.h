#pragma once
/// The threads that parallel loops of this thread take, for a while.
///
/// Not at::set_num_threads, which sets all threads' and clears oneDNN's kernels.

namespace loopbank::ops {

/// Holds until it goes. Without OpenMP, as in a build for fuzzing, there is one thread always.
class ThreadScope {
 public:
  /// @param threads  0: as many as before
  explicit ThreadScope(int threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

}  // namespace loopbank::ops
