#pragma once
/// Which keys and values later tokens find at the loops that a token did not run (SPEC 6).
///
///     full       those that loop t would make of h^(tau), for every t > tau
///     recompute  the same made of the layer's output y
///     copy       those of loop tau
///     last       one slot a layer: those of loop tau
///     first      one slot a layer: those of loop 1
///     mixture    one slot a layer: sum_t P_t of each
///
/// With N slots loop t of a token attends over slot t of the tokens before it; with one slot every
/// loop attends over that slot, and over the token's own keys and values at the loop that it runs.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/model/config.h"

namespace loopbank {

/// One token's slots in one layer, as a policy fills them. The own keys and values of a loop that
/// was run are in slot t of N already.
class TokenSlots {
 public:
  TokenSlots() = default;
  TokenSlots(const TokenSlots&) = delete;
  TokenSlots& operator=(const TokenSlots&) = delete;
  virtual ~TokenSlots() = default;

  /// Those of the loop that has just run.
  virtual void write_own(int64_t slot) = 0;
  /// Those made late, of what `KeyValuePolicy::late` says.
  virtual void write_late(int64_t slot) = 0;
  /// Adds weight times those of the loop that has just run to a sum that starts at 0.
  virtual void add_own(float weight) = 0;
  virtual void write_sum(int64_t slot) = 0;
};

class KeyValuePolicy {
 public:
  KeyValuePolicy() = default;
  KeyValuePolicy(const KeyValuePolicy&) = delete;
  KeyValuePolicy& operator=(const KeyValuePolicy&) = delete;
  virtual ~KeyValuePolicy() = default;

  /// Hidden states of which late keys and values are made.
  enum class Late { kNone, kState, kOutput };

  [[nodiscard]] virtual std::string_view name() const = 0;
  /// Whether a layer of N loops holds N slots a token, or one.
  [[nodiscard]] virtual bool keeps_every_loop() const { return true; }
  [[nodiscard]] virtual Late late() const { return Late::kNone; }
  /// Whether the slots that a token reads are there once the tokens before it have run their loops
  /// as far as it has itself; with one slot, then, once they have run the first. Otherwise each
  /// token waits until those before it have left the layer, and a prompt is read token by token.
  [[nodiscard]] virtual bool reads_in_step() const { return true; }

  /// Whether it adds up keys and values over the loops (`TokenSlots::add_own`).
  [[nodiscard]] virtual bool sums() const { return false; }

  /// Called after each loop that a token has run.
  /// @param t       the loop, from 1
  /// @param loops   N of the layer
  /// @param weight  of the loop in the mixture
  /// @param left    whether the token leaves
  virtual void after_loop(TokenSlots& slots, int64_t t, int64_t loops, float weight,
                          bool left) const = 0;
};

/// The policy `full`, which prompts are read under where another holds for decoding alone.
[[nodiscard]] const KeyValuePolicy& full_policy();
/// @param where  names the place in the error: a flag, a key
/// @throws Error kConfig for another name than the six, which it lists
[[nodiscard]] const KeyValuePolicy& key_value_policy(std::string_view name,
                                                     std::string_view where = "kv");
/// The six, in the order of the list above.
[[nodiscard]] const std::vector<const KeyValuePolicy*>& key_value_policies();

/// Bytes that a token's keys and values take in all layers:
///
///     2 x slots x H_kv x d x bytes        slots = sum over layers of N, or one a layer
///
/// @param value_bytes  of a number: 2 for bf16, 4 for fp32
[[nodiscard]] int64_t key_value_bytes(const ModelConfig& config, const KeyValuePolicy& policy,
                                      int64_t value_bytes);

}  // namespace loopbank
