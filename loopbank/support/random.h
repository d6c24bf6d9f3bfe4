#pragma once
/// Random streams that are counted, named and saved: the same seed gives the same draws on every
/// machine, and a stream continues from its saved position.

#include <cstdint>
#include <string_view>

namespace loopbank {

/// Mixes a 64-bit value (the finaliser of SplitMix64, Steele et al. 2014).
[[nodiscard]] constexpr uint64_t mix_bits(uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31U);
}

/// A seed for a purpose: streams of different names under one seed are independent. The name is
/// hashed by FNV-1a and not as elsewhere (hash.h): every draw depends on it, so that another hash
/// would start and shuffle all runs differently, those that are resumed included.
[[nodiscard]] uint64_t derive_seed(uint64_t seed, std::string_view name);

/// A stream of random numbers; its whole state is (seed, position).
class RandomStream {
 public:
  explicit RandomStream(uint64_t seed, uint64_t position = 0) : seed_(seed), position_(position) {}

  /// 64 random bits.
  uint64_t bits() { return mix_bits(seed_ ^ mix_bits(position_++)); }
  /// Uniform in [0, bound); bound must be positive. Unbiased.
  uint64_t below(uint64_t bound);
  /// Uniform in [low, high], inclusive.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1));
  }
  /// Uniform in [0, 1).
  double uniform() { return static_cast<double>(bits() >> 11U) * 0x1.0p-53; }

  [[nodiscard]] uint64_t seed() const { return seed_; }
  [[nodiscard]] uint64_t position() const { return position_; }

 private:
  uint64_t seed_;
  uint64_t position_;
};

/// A random permutation of [0, size) that needs no memory: element i is computed when asked
/// (a Feistel network over the next power of four, walked until it falls inside).
class Permutation {
 public:
  Permutation(uint64_t size, uint64_t seed);
  [[nodiscard]] uint64_t operator[](uint64_t index) const;
  [[nodiscard]] uint64_t size() const { return size_; }

 private:
  uint64_t size_;
  uint64_t seed_;
  unsigned half_bits_ = 1;
};

}  // namespace loopbank
