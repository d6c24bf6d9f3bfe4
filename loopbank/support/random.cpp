#include "loopbank/support/random.h"

namespace loopbank {

uint64_t derive_seed(uint64_t seed, std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a over the name
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  return mix_bits(mix_bits(seed) ^ hash);
}

uint64_t RandomStream::below(uint64_t bound) {
  // Values under the remainder of 2^64 / bound would make small results likelier: draw again.
  const uint64_t threshold = (0 - bound) % bound;
  while (true) {
    const uint64_t value = bits();
    if (value >= threshold) {
      return value % bound;
    }
  }
}

Permutation::Permutation(uint64_t size, uint64_t seed) : size_(size), seed_(seed) {
  while (half_bits_ < 32 && (uint64_t{1} << (2 * half_bits_)) < size_) {
    ++half_bits_;
  }
}

uint64_t Permutation::operator[](uint64_t index) const {
  // Ten rounds: with four, an element of a handful of documents stood at some places half as often
  // again as at others (chi-squared over 60000 seeds).
  constexpr int kRounds = 10;
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  uint64_t value = index;
  do {
    uint64_t left = value >> half_bits_;
    uint64_t right = value & mask;
    for (int round = 0; round < kRounds; ++round) {
      const uint64_t mixed = mix_bits(seed_ ^ mix_bits(right + (uint64_t(round) << 40U)));
      const uint64_t next = left ^ (mixed & mask);
      left = right;
      right = next;
    }
    value = (left << half_bits_) | right;
  } while (value >= size_);
  return value;
}

}  // namespace loopbank
