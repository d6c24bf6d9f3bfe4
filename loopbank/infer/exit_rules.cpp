#include "loopbank/infer/exit_rules.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "loopbank/model/config.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

class CumulativeRule final : public ExitRule {
 public:
  explicit CumulativeRule(double q) : q_(q) {}
  [[nodiscard]] bool leaves(const AfterLoop& token) const override { return token.cumulative > q_; }

 private:
  double q_;
};

class RouterRule final : public ExitRule {
 public:
  explicit RouterRule(double p) : p_(p) {}
  [[nodiscard]] bool leaves(const AfterLoop& token) const override { return token.p > p_; }

 private:
  double p_;
};

class ChangeRule final : public ExitRule {
 public:
  explicit ChangeRule(double e) : e_(e) {}
  [[nodiscard]] bool leaves(const AfterLoop& token) const override { return token.change < e_; }
  [[nodiscard]] bool reads_changes() const override { return true; }

 private:
  double e_;
};

class AccelerationRule final : public ExitRule {
 public:
  explicit AccelerationRule(double e) : e_(e) {}
  [[nodiscard]] bool leaves(const AfterLoop& token) const override {
    return token.t >= 2 && token.acceleration < e_;
  }
  [[nodiscard]] bool reads_changes() const override { return true; }

 private:
  double e_;
};

class EntropyRule final : public ExitRule {
 public:
  explicit EntropyRule(double e) : e_(e) {}
  [[nodiscard]] bool leaves(const AfterLoop& token) const override { return token.entropy < e_; }
  [[nodiscard]] bool reads_head() const override { return true; }

 private:
  double e_;
};

class DivergenceRule final : public ExitRule {
 public:
  explicit DivergenceRule(double e) : e_(e) {}
  [[nodiscard]] bool leaves(const AfterLoop& token) const override {
    return token.t >= 2 && token.kl < e_;
  }
  [[nodiscard]] bool reads_head() const override { return true; }

 private:
  double e_;
};

class AgreementRule final : public ExitRule {
 public:
  explicit AgreementRule(int64_t k) : k_(k) {}
  [[nodiscard]] bool leaves(const AfterLoop& token) const override { return token.agreeing >= k_; }
  [[nodiscard]] bool reads_head() const override { return true; }

 private:
  int64_t k_;
};

std::optional<double> number_in(std::string_view text) {
  double value = 0.0;
  const auto* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

[[noreturn]] void refuse(std::string_view text, std::string_view where) {
  fail(
      ErrorCode::kConfig,
      "{}: expected all, cdf:Q with Q from 0 to 1, router:P with P from 0 to 1, change:E or "
      "accel:E with E of 0 or more, or budget:N with N from 1 to {}, in bench exit and inside also "
      "entropy:E or kl:E with E of 0 or more or argmax:K with K from 2 to {}, each with \",hard\" "
      "behind it for the state of the last loop in place of the mixture, got \"{}\".",
      where, kMaxLoops, kMaxLoops, text);
}

}  // namespace

ExitChoice ExitChoice::parse(std::string_view text, std::string_view where) {
  constexpr std::string_view kHard = ",hard";
  ExitChoice choice;
  choice.name_ = text;
  auto rule = text;
  if (rule.ends_with(kHard)) {
    rule.remove_suffix(kHard.size());
    choice.hard_ = true;
  }
  if (rule == "all") {
    return choice;
  }
  const auto colon = rule.find(':');
  const auto kind = rule.substr(0, colon);
  const auto number =
      colon == std::string_view::npos ? std::nullopt : number_in(rule.substr(colon + 1));
  const double value = number.value_or(-1.0);
  const bool counts_loops = value <= kMaxLoops && value == std::floor(value);
  if (value < 0.0) {
    refuse(text, where);
  }
  if (kind == "cdf" && value <= 1.0) {
    choice.rule_ = std::make_shared<CumulativeRule>(value);
  } else if (kind == "router" && value <= 1.0) {
    choice.rule_ = std::make_shared<RouterRule>(value);
  } else if (kind == "change") {
    choice.rule_ = std::make_shared<ChangeRule>(value);
  } else if (kind == "accel") {
    choice.rule_ = std::make_shared<AccelerationRule>(value);
  } else if (kind == "budget" && value >= 1.0 && counts_loops) {
    choice.budget_ = static_cast<int64_t>(value);
  } else if (kind == "entropy") {
    choice.rule_ = std::make_shared<EntropyRule>(value);
  } else if (kind == "kl") {
    choice.rule_ = std::make_shared<DivergenceRule>(value);
  } else if (kind == "argmax" && value >= 2.0 && counts_loops) {
    choice.rule_ = std::make_shared<AgreementRule>(static_cast<int64_t>(value));
  } else {
    refuse(text, where);
  }
  return choice;
}

TokenExit ExitChoice::token_exit(int64_t max_loops) const {
  const bool both = budget_ > 0 && max_loops > 0;
  return {.rule = rule_.get(),
          .hard = hard_,
          .max_loops = both ? std::min(budget_, max_loops) : std::max(budget_, max_loops)};
}

}  // namespace loopbank
