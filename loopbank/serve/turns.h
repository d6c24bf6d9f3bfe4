#pragma once
/// Whose request starts next, where clients take turns.
///
/// Among clients it goes round; within one, first come first served. A request starts where there is
/// room for its completions and for its keys and values, and where its client stays within a share of
/// both, so that one who comes new finds room. Two waits are bounded:
///
/// - Of who comes behind a request that has no room yet, kMostOvertakes may pass it; then nothing
///   starts before it. A large request so waits for what runs and for those few, not for all small
///   ones that ever come.
/// - Small ones wait behind it no longer than what runs takes to end.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

namespace loopbank {

struct TurnLimits {
  int64_t texts = 0;         ///< completions at a time; a request of more runs alone
  int64_t client_texts = 0;  ///< of one client
  int64_t bytes = 0;         ///< of keys and values; no request needs more
  int64_t client_bytes = 0;  ///< of one client; a request that needs more starts as its only one
};

class Turns {
 public:
  static constexpr int64_t kMostOvertakes = 16;

  /// A prompt with its completions.
  struct Entry {
    int64_t work = 0;   ///< that it is part of
    size_t prompt = 0;  ///< of the work
    int64_t texts = 1;
    int64_t bytes = 0;
  };

  explicit Turns(const TurnLimits& limits) : limits_(limits) {}

  /// Behind what this client has asked for before.
  void add(const std::string& client, const Entry& entry);
  /// The next one that may start, which counts as running from now on.
  [[nodiscard]] std::optional<Entry> next();
  /// Room that a client does not need any more.
  void give_back(const std::string& client, int64_t texts, int64_t bytes);
  /// Forgets what has not started of a client's work.
  void drop(const std::string& client, int64_t work);

  /// Clients with something that waits or runs.
  [[nodiscard]] size_t num_clients() const { return clients_.size(); }

 private:
  struct Client {
    std::deque<Entry> waiting;
    int64_t texts = 0;
    int64_t bytes = 0;
  };
  using Order = std::list<Client*>;
  [[nodiscard]] bool is_within_share(const Client& client) const;
  [[nodiscard]] bool has_room(const Entry& entry) const;
  Entry take(Order::iterator at);
  void forget_if_idle(const std::string& client);

  TurnLimits limits_;
  std::unordered_map<std::string, std::unique_ptr<Client>> clients_;
  Order order_;  // clients with something that waits, whose turn is next in front
  int64_t texts_ = 0;
  int64_t bytes_ = 0;
  Client* held_up_ = nullptr;  // whose first request has no room
  int64_t overtakes_ = 0;      // of it
};

}  // namespace loopbank
