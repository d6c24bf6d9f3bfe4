#include "loopbank/infer/key_value_policy.h"

#include <algorithm>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// N slots, the missing ones made late.
class LatePolicy : public KeyValuePolicy {
 public:
  void after_loop(TokenSlots& slots, int64_t t, int64_t loops, float, bool left) const override {
    for (int64_t slot = t + 1; left && slot <= loops; ++slot) {
      slots.write_late(slot);
    }
  }
};

class FullPolicy final : public LatePolicy {
 public:
  [[nodiscard]] std::string_view name() const override { return "full"; }
  [[nodiscard]] Late late() const override { return Late::kState; }
};

class RecomputePolicy final : public LatePolicy {
 public:
  [[nodiscard]] std::string_view name() const override { return "recompute"; }
  [[nodiscard]] Late late() const override { return Late::kOutput; }
};

class CopyPolicy final : public KeyValuePolicy {
 public:
  [[nodiscard]] std::string_view name() const override { return "copy"; }
  void after_loop(TokenSlots& slots, int64_t t, int64_t loops, float, bool left) const override {
    for (int64_t slot = t + 1; left && slot <= loops; ++slot) {
      slots.write_own(slot);
    }
  }
};

class LastPolicy final : public KeyValuePolicy {
 public:
  [[nodiscard]] std::string_view name() const override { return "last"; }
  [[nodiscard]] bool keeps_every_loop() const override { return false; }
  [[nodiscard]] bool reads_in_step() const override { return false; }
  void after_loop(TokenSlots& slots, int64_t, int64_t, float, bool left) const override {
    if (left) {
      slots.write_own(1);
    }
  }
};

class FirstPolicy final : public KeyValuePolicy {
 public:
  [[nodiscard]] std::string_view name() const override { return "first"; }
  [[nodiscard]] bool keeps_every_loop() const override { return false; }
  void after_loop(TokenSlots& slots, int64_t t, int64_t, float, bool) const override {
    if (t == 1) {
      slots.write_own(1);
    }
  }
};

class MixturePolicy final : public KeyValuePolicy {
 public:
  [[nodiscard]] std::string_view name() const override { return "mixture"; }
  [[nodiscard]] bool sums() const override { return true; }
  [[nodiscard]] bool keeps_every_loop() const override { return false; }
  [[nodiscard]] bool reads_in_step() const override { return false; }
  void after_loop(TokenSlots& slots, int64_t, int64_t, float weight, bool left) const override {
    slots.add_own(weight);
    if (left) {
      slots.write_sum(1);
    }
  }
};

}  // namespace

const KeyValuePolicy& full_policy() {
  static const FullPolicy full;
  return full;
}

const std::vector<const KeyValuePolicy*>& key_value_policies() {
  static const RecomputePolicy recompute;
  static const CopyPolicy copy;
  static const LastPolicy last;
  static const FirstPolicy first;
  static const MixturePolicy mixture;
  static const std::vector<const KeyValuePolicy*> all = {&full_policy(), &recompute, &copy,
                                                         &last,          &first,     &mixture};
  return all;
}

const KeyValuePolicy& key_value_policy(std::string_view name, std::string_view where) {
  for (const auto* policy : key_value_policies()) {
    if (policy->name() == name) {
      return *policy;
    }
  }
  fail(ErrorCode::kConfig,
       "{}: expected full, recompute, copy, last, first or mixture, got \"{}\".", where, name);
}

int64_t key_value_bytes(const ModelConfig& config, const KeyValuePolicy& policy,
                        int64_t value_bytes) {
  int64_t slots = 0;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    slots += policy.keeps_every_loop() ? std::max<int64_t>(config.loops(layer), 1) : 1;
  }
  return 2 * slots * config.num_key_value_heads * config.head_size() * value_bytes;
}

}  // namespace loopbank
