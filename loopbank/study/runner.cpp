#include "loopbank/study/runner.h"

#include <ATen/Parallel.h>
#include <fmt/chrono.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <deque>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "loopbank/eval/json_lines.h"
#include "loopbank/model/cost.h"
#include "loopbank/study/figure_csv.h"
#include "loopbank/study/report.h"
#include "loopbank/study/study_part.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/folder_lock.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

/// Models below this many parameters train faster side by side, a thread each, than one after
/// another on all threads.
constexpr double kSmallModel = 4e6;
constexpr auto kPatience = std::chrono::milliseconds(200);

/// The processor's name as Linux tells it, and the cores at hand.
std::string machine_name() {
  std::string name = "unknown processor";
  if (fs::exists("/proc/cpuinfo")) {
    const auto text = read_file("/proc/cpuinfo");
    const auto key = text.find("model name");
    const auto colon = key == std::string::npos ? key : text.find(": ", key);
    if (colon != std::string::npos) {
      name = text.substr(colon + 2, text.find('\n', colon) - colon - 2);
    }
  }
  return fmt::format("{}, {} cores", name, at::get_num_threads());
}

class Study {
 public:
  explicit Study(const StudyOptions& options) : options_(options) {
    for (const auto& config : options.parts) {
      StudyPart::check(config, options.systems);
    }
    create_directories(options.out, ErrorCode::kCheckpoint);
    for (const auto& config : options.parts) {
      auto& part =
          parts_.emplace_back(config, options.out / (config.is_text() ? "text" : "benchmark"),
                              options.systems, options.seeds);
      for (const auto& job : part.jobs()) {
        queue_.push_back({.part = &part, .job = &job});
      }
    }
    at_once_ = choose_at_once();
    threads_of_a_run_ = at::get_num_threads() / static_cast<int>(at_once_);
  }

  StudyOutcome to_end() {
    write_results();
    if (at_once_ == 1) {
      work();
    } else {
      std::vector<std::thread> workers;
      for (size_t i = 0; i < std::min(queue_.size(), static_cast<size_t>(at_once_)); ++i) {
        workers.emplace_back([this] { work(); });
      }
      for (auto& worker : workers) {
        worker.join();
      }
    }
    if (failure_) {
      std::rethrow_exception(failure_);
    }
    return {.result = write_results(), .finished = !stopped_};
  }

 private:
  struct Entry {
    StudyPart* part;
    const Job* job;
    bool is_taken = false;  ///< by a worker of this process, or told to be done
  };
  /// A run that this worker alone works on; without an entry there is none to take now.
  struct Claim {
    Entry* entry = nullptr;
    std::unique_ptr<FolderLock> lock{};
    bool was_done = false;
    bool all_taken = false;
  };

  /// Asked by every worker: one that failed or was stopped stops the others.
  [[nodiscard]] bool stop_asked() const {
    return stopped_ || (options_.should_stop && options_.should_stop());
  }

  /// Takes run after run until none is left; of these threads there are several.
  void work() {
    at::set_num_threads(threads_of_a_run_);  // of this thread; the number is its own
    try {
      while (!stopped_) {
        auto claim = next_claim();
        if (claim.all_taken) {
          return;
        }
        if (claim.entry == nullptr) {  // other processes work on what is left
          stopped_ = stop_asked();
          std::this_thread::sleep_for(kPatience);
        } else if (!complete(claim)) {
          stopped_ = true;
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      failure_ = failure_ ? failure_ : std::current_exception();
    }
  }

  Claim next_claim() {
    const std::lock_guard lock(mutex_);
    Claim claim{.all_taken = true};
    for (auto& entry : queue_) {
      if (entry.is_taken) {
        continue;
      }
      claim.all_taken = false;
      claim.was_done = StudyPart::is_done(*entry.job);
      if (!claim.was_done) {
        claim.lock = FolderLock::try_hold(entry.job->folder / "claim", ErrorCode::kCheckpoint);
        if (!claim.lock) {
          continue;
        }
        // Another process may have ended it since.
        claim.was_done = StudyPart::is_done(*entry.job);
      }
      entry.is_taken = true;
      claim.entry = &entry;
      return claim;
    }
    return claim;
  }

  /// False where the study was stopped before the run was done.
  bool complete(const Claim& claim) {
    const auto& job = *claim.entry->job;
    const bool shows = options_.show_progress && at_once_ == 1;
    if ((!claim.was_done && stop_asked()) ||
        !claim.entry->part->complete(job, shows, [this] { return stop_asked(); })) {
      return false;
    }
    const std::lock_guard lock(mutex_);
    ++num_done_;
    if (!claim.was_done && num_done_ < static_cast<int64_t>(queue_.size())) {
      write_results();  // the last one is written at the end
    }
    if (options_.on_run) {
      options_.on_run({.result = StudyPart::result_of(job),
                       .label = job.system.label,
                       .columns = claim.entry->part->columns(),
                       .number = num_done_,
                       .total = static_cast<int64_t>(queue_.size()),
                       .was_done = claim.was_done});
    }
    return true;
  }

  /// Runs in work at the same time, at most one a thread. How many are asked for makes no
  /// difference: a run has the same share of the threads, and so the same weights, alone.
  [[nodiscard]] int64_t choose_at_once() const {
    const int64_t threads = at::get_num_threads();
    double largest = 0.0;
    for (const auto& entry : queue_) {
      largest = std::max(largest, model_cost(entry.job->system.run.model, 1).parameters.total());
    }
    const int64_t usual = largest < kSmallModel ? threads : 1;
    const int64_t wanted = options_.at_once > 0 ? options_.at_once : usual;
    return std::max<int64_t>(1, std::min(wanted, threads));
  }

  [[nodiscard]] bool all_done() const {
    return std::all_of(queue_.begin(), queue_.end(),
                       [](const Entry& entry) { return StudyPart::is_done(*entry.job); });
  }

  StudyResult write_results() {
    StudyResult result{.scale = options_.scale,
                       .title = options_.parts.front().study.title,
                       .command = options_.command,
                       .date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr))),
                       .machine = machine_,
                       .threads = threads_of_a_run_,
                       .finished = all_done(),
                       .parts = {}};
    auto parts = nlohmann::ordered_json::array();
    for (const auto& part : parts_) {
      result.parts.push_back(part.collect());
      parts.push_back(part.to_json(result.parts.back()));
    }
    auto json = to_json(result);
    json["parts"] = std::move(parts);
    write_file_atomically(options_.out / "results.json", json.dump(2) + "\n");
    write_file_atomically(options_.out / "report.html", make_report(json));
    create_directories(options_.out / "csv", ErrorCode::kData);
    for (const auto& [name, text] : make_csv(json)) {
      write_file_atomically(options_.out / "csv" / name, text);
    }
    return result;
  }

  const StudyOptions& options_;
  const std::string machine_ = machine_name();
  std::deque<StudyPart> parts_;  // whose jobs the queue points to
  std::vector<Entry> queue_;
  int64_t at_once_ = 1;
  int threads_of_a_run_ = 1;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;  // of what follows, the queue's entries, results.json and on_run
  int64_t num_done_ = 0;
  std::exception_ptr failure_;
};

}  // namespace

StudyOutcome run_study(const StudyOptions& options) {
  return Study(options).to_end();
}

}  // namespace loopbank
