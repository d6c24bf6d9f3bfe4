#pragma once
/// How many threads compute a pass of the engine: all of them, or one where that is about as fast.
///
/// A small model's pass is a hundred short products, behind each of which threads wait for each other,
/// and while they wait they spin on cores that connections or another program need. Where cores are few
/// one thread is then faster, and steadier. It is learned from the passes themselves, by their size:
/// those of 2^k to 2^(k + 1) - 1 rows are tried both ways, the faster way holds, and the other is looked
/// at again after 64 passes, then 128, and so on up to 8,192. No answer depends on it (docs/inference.md).

#include <array>
#include <cstdint>

namespace loopbank {

class ThreadChoice {
 public:
  /// @param all  threads that there are; 0: nothing is chosen
  explicit ThreadChoice(int all) : all_(all) {}

  /// Of the next pass; 0: as many as there are.
  /// @param rows  1 or more
  [[nodiscard]] int threads(int64_t rows);
  /// What that pass took.
  void add(int64_t rows, double seconds);

 private:
  /// Passes of one size.
  struct Size {
    double seconds_a_row[2] = {0.0,
                               0.0};  ///< with one thread, with all; means, recent ones count more
    int64_t passes[2] = {0, 0};
    int64_t trial = 0;     ///< passes left of a look at the other way
    int64_t until = 0;     ///< passes to the next look
    int64_t interval = 0;  ///< between two looks
    bool takes_one = false;
  };
  [[nodiscard]] Size& size_of(int64_t rows);
  void decide(Size& size);

  int all_;
  std::array<Size, 16> sizes_{};
  bool last_took_one_ = false;
};

}  // namespace loopbank
