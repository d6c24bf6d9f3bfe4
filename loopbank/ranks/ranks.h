#pragma once
/// Processes that compute together: who takes part, and what they send each other, over c10d (Gloo
/// between CPUs, NCCL between GPUs).
///
/// Every rank calls the same functions in the same order; each returns when this rank has what it
/// asked for. Sums are taken in the order of the ranks, so that they do not depend on which message
/// comes first: on the CPU they are those of one process that adds the same numbers in that order.
///
/// Not here: how a process learns its place (place.h).

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/ranks/place.h"
#include "loopbank/support/error.h"

namespace loopbank {

struct RankSettings {
  double timeout_seconds = 300.0;  ///< how long a rank waits for the others, above 0
  double meeting_seconds = 0.0;    ///< the same until all have started; 0: timeout_seconds
};

/// Another rank is gone, or silent for longer than the time-out.
class RanksLost : public Error {
 public:
  explicit RanksLost(const std::string& message) : Error(ErrorCode::kRanks, message) {}
};

/// What the exchanges of a while took, in seconds of the clock.
struct ExchangeTimes {
  /// In which at least one exchange of tensors was on its way. Between GPUs: 0, nothing stops there
  /// to look at a clock.
  double exchanging = 0.0;
  double waited = 0.0;  ///< in which this rank stood still for one
};

/// Tensors on their way. They belong to the exchange until `wait` has returned.
class Exchange {
 public:
  struct State;
  /// One that is over.
  Exchange() = default;
  explicit Exchange(std::shared_ptr<State> state);
  /// Returns when the results are there; a second call returns at once.
  /// @throws RanksLost
  void wait();

 private:
  std::shared_ptr<State> state_;
};

/// A handle: copies are the same rank.
class Ranks {
 public:
  struct Group;  // of c10d
  /// One process alone: nothing is sent.
  Ranks() = default;
  /// Meets the others at the place's address. A place of one rank is alone.
  /// @param device  whose tensors will be exchanged
  /// @throws Error kRanks when they do not come within the time-out, kDevice for GPUs without NCCL
  [[nodiscard]] static Ranks join(const RankPlace& place, at::Device device,
                                  const RankSettings& settings);

  [[nodiscard]] int64_t rank() const;
  [[nodiscard]] int64_t size() const;
  /// Among the ranks of this machine.
  [[nodiscard]] int64_t local_rank() const;
  /// Whether this is rank 0, which writes files and speaks to people.
  [[nodiscard]] bool is_first() const { return rank() == 0; }
  [[nodiscard]] bool is_alone() const { return size() == 1; }

  /// Every rank's text, by rank.
  /// @throws RanksLost, here and below
  [[nodiscard]] std::vector<std::string> gather(const std::string& mine) const;
  /// Every rank's numbers, by rank; each has as many as it likes.
  [[nodiscard]] std::vector<std::vector<double>> gather(const std::vector<double>& mine) const;
  /// sum_r x_r, element by element in rank order; the same bits on every rank.
  [[nodiscard]] std::vector<double> sum(const std::vector<double>& mine) const;
  void wait_for_all() const;

  /// Runs `work`, which may fail, on this rank and returns when it went well on all.
  /// @param what  it is, for the errors: "training"
  /// @throws what `work` threw here; elsewhere Error of the same code, which names the first rank
  ///         that failed and its error
  void agree(std::string_view what, const std::function<void()>& work) const;

  /// to[r] = rank r's from[mine].
  /// @param from, to  [n, m], contiguous, on the device of `join`, any type
  [[nodiscard]] Exchange all_to_all(const at::Tensor& from, const at::Tensor& to) const;
  /// to[0] = sum_r of rank r's from[mine]; the other rows of `to` are room. In rank order on the CPU,
  /// in NCCL's, which is fixed for a number of GPUs, between GPUs.
  /// @param from, to  [n, m] fp32, contiguous
  [[nodiscard]] Exchange sum_slices(const at::Tensor& from, const at::Tensor& to) const;
  /// to[r] = rank r's mine.
  /// @param mine  [m]
  /// @param to    [n, m], contiguous
  [[nodiscard]] Exchange all_gather(const at::Tensor& mine, const at::Tensor& to) const;
  /// x = rank `root`'s x.
  [[nodiscard]] Exchange broadcast(const at::Tensor& x, int64_t root) const;

  /// How many exchanges this rank has begun. Equal on all ranks whenever none is under way.
  [[nodiscard]] int64_t exchanges_begun() const;

  /// Times since the last call.
  [[nodiscard]] ExchangeTimes take_times() const;

  /// Errors of exchanges are passed through `explain`, which knows more of the other ranks (watch.h).
  /// @param explain  takes what c10d said and returns the whole line
  void explain_errors(std::function<std::string(const std::string& cause)> explain) const;

 private:
  std::shared_ptr<Group> group_;  // null: alone
};

}  // namespace loopbank
