#pragma once
/// The runs of a call of the study in the order in which they are taken, and which are taken.
///
/// Seed after seed, of each the systems of all parts: a study that is stopped early is whole for the
/// seeds that it has. Of several processes in one folder each run is taken by one, which holds its
/// folder (FolderLock). Not for several threads at once.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "loopbank/study/deadline.h"
#include "loopbank/study/study_part.h"
#include "loopbank/support/folder_lock.h"

namespace loopbank {

struct QueuedRun {
  StudyPart* part = nullptr;
  const Job* job = nullptr;
  bool is_taken = false;     ///< by a worker of this process, or told to be done
  bool is_left_out = false;  ///< taken by none: the time would have run out
};

class StudyQueue {
 public:
  /// A run that this worker alone works on; without an index there is none to take now.
  struct Claim {
    std::optional<size_t> run = {};
    std::unique_ptr<FolderLock> lock{};
    bool was_done = false;
    bool all_taken = false;
  };

  /// Queues the jobs of these parts, which must outlive it, in place of what it held.
  void fill(std::deque<StudyPart>& parts);
  /// Within each seed by the rank of the system, rising.
  void order_systems(const std::function<size_t(const std::string& system)>& rank);

  /// Takes the next run that is free; those that would end too late are left out.
  [[nodiscard]] Claim next(Deadline& deadline);

  [[nodiscard]] const std::vector<QueuedRun>& runs() const { return runs_; }
  /// Runs but those that are left out.
  [[nodiscard]] int64_t num_wanted() const;
  [[nodiscard]] bool all_done() const;

 private:
  std::vector<QueuedRun> runs_;
};

}  // namespace loopbank
