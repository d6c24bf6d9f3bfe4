#pragma once
/// Who of the ranks is missing, and why: heartbeats over the ranks' TCPStore.
///
/// c10d says that an exchange failed, at best with an address. This says which rank it was:
///
///     rank 2 (node1, process 4711) ended without a word: killed, out of memory or crashed
///     rank 2 (node1, process 4711) has not answered for 31 s: frozen or cut off
///     rank 2 (node1, process 4711) ended with: runs/a: cannot write: No space left on device
///     rank 2 (node1, process 4711) answers but has not come to exchange 812 for 300 s
///     the store at node0:29500 (rank 0: node0, process 7) has not answered for 31 s
///
/// A thread of each rank counts a heartbeat up in the store and looks at that of the next rank (the
/// last looks at the first), so that the store serves four short requests a rank and beat, whatever
/// the number of ranks. Whoever knows what happened writes it there once, and all read it. A second
/// thread never touches the network: it notices a store that does not answer, and ends a process
/// whose exchange hangs.
///
/// The training thread is asked nothing and waits for nothing until an exchange fails.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "loopbank/ranks/place.h"

namespace loopbank {

struct WatchSettings {
  double timeout_seconds = 300.0;  ///< without a heartbeat before a rank is given up
  double exchange_seconds = 0.0;   ///< c10d's own time-out, for its line; 0: the same
  /// Ends the process with the line where an exchange hangs and cannot be interrupted; called from a
  /// thread of the watch. Empty: the line is kept for `explain`.
  std::function<void(const std::string& line)> end = {};
  /// How many exchanges this rank has begun; empty: not counted.
  std::function<int64_t()> exchanges = {};
};

class RankWatch {
 public:
  /// Watches nothing.
  RankWatch() = default;
  /// Starts the heartbeats, over a connection of its own. Nothing is watched where the rank is alone.
  /// @throws Error kRanks when the store cannot be reached
  RankWatch(const RankPlace& place, WatchSettings settings);
  /// Leaves in good order.
  ~RankWatch();
  RankWatch(RankWatch&&) noexcept = default;
  RankWatch& operator=(RankWatch&&) noexcept;

  /// The line that names the missing rank, after an exchange failed. Takes a few heartbeats.
  /// @param cause  what c10d said; part of the line where nobody is missing
  [[nodiscard]] std::string explain(const std::string& cause);

  /// Stops watching and being watched.
  /// @param cause  the error that ends this rank, which the others then name; empty: it is done
  void leave(const std::string& cause = {});

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace loopbank
