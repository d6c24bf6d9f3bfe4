#pragma once
/// The rules by which tokens leave a layer early, and how they are named (SPEC 6).
///
///     all          tau = N: every loop, softly mixed as in training
///     cdf:Q        tau = first t with P_1 + ... + P_t > Q
///     router:P     tau = first t with p_t > P
///     change:E     tau = first t with |h^(t) - h^(t-1)| / |h^(t-1)| < E
///     accel:E      tau = first t >= 2 with |d_t - d_{t-1}| / |d_t| < E, d_t = h^(t) - h^(t-1)
///     budget:N     tau = N
///
/// and for analysis alone, since they read the head after every loop (model/head_reader.h; q_t is what
/// it predicts if the token leaves after loop t):
///
///     entropy:E    tau = first t with -sum q_t ln q_t < E
///     kl:E         tau = first t >= 2 with sum q_t ln(q_t / q_{t-1}) < E
///     argmax:K     tau = first t by which K loops in a row agree in arg max q_t
///
/// or the layer's last loop, whichever comes first. `,hard` behind a rule makes h^(tau) the layer's
/// output in place of the mixture with remainder.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "loopbank/model/exit_rule.h"

namespace loopbank {

/// A rule as it was chosen for a request.
class ExitChoice {
 public:
  /// `all`.
  ExitChoice() = default;

  /// @param text   such as `all`, `cdf:0.9` or `router:0.5,hard`
  /// @param where  names the place in the error: a flag, a key
  /// @throws Error kConfig for another name or a threshold out of range, in one line that lists the
  ///   rules and their ranges
  static ExitChoice parse(std::string_view text, std::string_view where = "exit");

  /// As it was given.
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Loops of `budget:N`; 0 for the other rules.
  [[nodiscard]] int64_t budget() const { return budget_; }
  [[nodiscard]] bool is_hard() const { return hard_; }
  /// Whether the rule reads the head, and so serves analysis alone.
  [[nodiscard]] bool reads_head() const { return rule_ != nullptr && rule_->reads_head(); }

  /// For each token of a request.
  /// @param max_loops  the request's own loop budget; 0: none
  [[nodiscard]] TokenExit token_exit(int64_t max_loops = 0) const;

 private:
  std::string name_ = "all";
  std::shared_ptr<const ExitRule> rule_;
  int64_t budget_ = 0;
  bool hard_ = false;
};

}  // namespace loopbank
