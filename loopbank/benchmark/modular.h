#pragma once
/// Arithmetic modulo m as the synthetic tasks Mano and i-GSM have it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/support/random.h"

namespace loopbank {

/// + - or *, each as likely as the others.
[[nodiscard]] char draw_operator(RandomStream& random);

/// a (operator) b modulo m, from 0 to m - 1.
[[nodiscard]] int64_t apply_operator(char name, int64_t a, int64_t b, int64_t modulus);

/// The operation as text that is the same for both orders of the operands of + and *. Operands that are
/// long become hashes, so that keys of deep expressions stay short.
[[nodiscard]] std::string key_of_operation(char name, std::string_view a, std::string_view b);

/// The numbers below m, a digit of kDigits each.
[[nodiscard]] std::vector<std::string> numbers_below(int64_t modulus);

}  // namespace loopbank
