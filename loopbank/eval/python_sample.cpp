#include "loopbank/eval/python_sample.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <random>
#include <set>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// Hands std::mt19937 the state that init_by_array makes of a key (Matsumoto and Nishimura 2002).
class InitByArray {
 public:
  using result_type = uint32_t;

  explicit InitByArray(uint64_t seed) {
    key_.push_back(static_cast<uint32_t>(seed));
    if (seed >> 32 != 0) {
      key_.push_back(static_cast<uint32_t>(seed >> 32));
    }
  }

  template <typename Iterator>
  void generate(Iterator begin, Iterator end) {
    const auto size = static_cast<size_t>(end - begin);
    std::vector<uint32_t> state(size);
    state[0] = 19650218U;
    for (size_t i = 1; i < size; ++i) {
      state[i] = 1812433253U * spread(state[i - 1]) + static_cast<uint32_t>(i);
    }
    size_t at = 1;
    const auto advance = [&] {
      if (++at == size) {
        state[0] = state[size - 1];
        at = 1;
      }
    };
    for (size_t step = 0, word = 0; step < std::max(size, key_.size()); ++step) {
      state[at] = (state[at] ^ (spread(state[at - 1]) * 1664525U)) + key_[word] +
                  static_cast<uint32_t>(word);
      word = (word + 1) % key_.size();
      advance();
    }
    for (size_t step = 1; step < size; ++step) {
      state[at] = (state[at] ^ (spread(state[at - 1]) * 1566083941U)) - static_cast<uint32_t>(at);
      advance();
    }
    state[0] = 0x80000000U;
    std::copy(state.begin(), state.end(), begin);
  }

 private:
  static uint32_t spread(uint32_t word) { return word ^ (word >> 30); }

  std::vector<uint32_t> key_;
};

/// `Random._randbelow`: as many bits as the limit has, drawn again until they are below it.
int64_t draw_below(std::mt19937& generator, int64_t limit) {
  const int bits = std::bit_width(static_cast<uint32_t>(limit));
  int64_t drawn = limit;
  while (drawn >= limit) {
    drawn = static_cast<int64_t>(static_cast<uint32_t>(generator()) >> (32 - bits));
  }
  return drawn;
}

/// The largest population that Python holds as a list for this count.
int64_t largest_list(int64_t count) {
  int64_t size = 21;
  if (count > 5) {
    int64_t power = 1;
    while (power < 3 * count) {
      power *= 4;
    }
    size += power;
  }
  return size;
}

}  // namespace

std::vector<int64_t> python_sample(uint64_t seed, int64_t population, int64_t count) {
  if (population < 0 || population > std::numeric_limits<uint32_t>::max() || count < 0 ||
      count > population) {
    fail(ErrorCode::kConfig,
         "python_sample: expected a count from 0 to a population below 2^32, got {} of {}.", count,
         population);
  }
  InitByArray state(seed);
  std::mt19937 generator(state);
  std::vector<int64_t> sample;
  if (population <= largest_list(count)) {
    std::vector<int64_t> pool(static_cast<size_t>(population));
    std::iota(pool.begin(), pool.end(), int64_t{0});
    for (; count > 0; --count, pool.pop_back()) {
      const auto at = static_cast<size_t>(draw_below(generator, static_cast<int64_t>(pool.size())));
      sample.push_back(pool[at]);
      pool[at] = pool.back();
    }
    return sample;
  }
  std::set<int64_t> taken;
  while (static_cast<int64_t>(sample.size()) < count) {
    const int64_t drawn = draw_below(generator, population);
    if (taken.insert(drawn).second) {
      sample.push_back(drawn);
    }
  }
  return sample;
}

}  // namespace loopbank
