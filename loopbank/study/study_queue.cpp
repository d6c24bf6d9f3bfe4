#include "loopbank/study/study_queue.h"

#include <algorithm>
#include <utility>

namespace loopbank {
namespace {

/// The jobs of a part with the place of each one's seed among the part's.
std::vector<std::pair<size_t, const Job*>> jobs_by_seed(const StudyPart& part) {
  std::vector<int64_t> seeds;
  std::vector<std::pair<size_t, const Job*>> jobs;
  for (const auto& job : part.jobs()) {
    const auto found = std::find(seeds.begin(), seeds.end(), job.seed);
    jobs.emplace_back(found - seeds.begin(), &job);
    if (found == seeds.end()) {
      seeds.push_back(job.seed);
    }
  }
  return jobs;
}

}  // namespace

void StudyQueue::fill(std::deque<StudyPart>& parts) {
  std::vector<std::pair<size_t, QueuedRun>> placed;
  for (auto& part : parts) {
    for (const auto& [place, job] : jobs_by_seed(part)) {
      placed.push_back({place, {.part = &part, .job = job}});
    }
  }
  std::stable_sort(placed.begin(), placed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  runs_.clear();
  for (const auto& [place, run] : placed) {
    runs_.push_back(run);
  }
}

void StudyQueue::order_systems(const std::function<size_t(const std::string&)>& rank) {
  for (auto seed = runs_.begin(); seed != runs_.end();) {
    const auto next = std::find_if(
        seed, runs_.end(), [&](const QueuedRun& run) { return run.job->seed != seed->job->seed; });
    std::stable_sort(seed, next, [&](const QueuedRun& a, const QueuedRun& b) {
      return rank(a.job->system.name) < rank(b.job->system.name);
    });
    seed = next;
  }
}

StudyQueue::Claim StudyQueue::next(Deadline& deadline) {
  Claim claim{.all_taken = true};
  for (size_t i = 0; i < runs_.size(); ++i) {
    auto& run = runs_[i];
    if (run.is_taken) {
      continue;
    }
    claim.was_done = StudyPart::is_done(*run.job);
    if (!claim.was_done && deadline.is_too_late_for(run.job->system.name)) {
      run.is_taken = run.is_left_out = true;
      deadline.leave_out(run.job->system.name);
      continue;
    }
    claim.all_taken = false;
    if (!claim.was_done) {
      claim.lock = FolderLock::try_hold(run.job->folder / "claim", ErrorCode::kCheckpoint);
      if (!claim.lock) {
        continue;
      }
      // Another process may have ended it since.
      claim.was_done = StudyPart::is_done(*run.job);
    }
    run.is_taken = true;
    claim.run = i;
    return claim;
  }
  return claim;
}

int64_t StudyQueue::num_wanted() const {
  return std::count_if(runs_.begin(), runs_.end(),
                       [](const QueuedRun& run) { return !run.is_left_out; });
}

bool StudyQueue::all_done() const {
  return std::all_of(runs_.begin(), runs_.end(), [](const QueuedRun& run) {
    return run.is_left_out || StudyPart::is_done(*run.job);
  });
}

}  // namespace loopbank
