#pragma once
/// What kernels on rows [rows, width] share: a warp a row, its values held in registers or read
/// again; sums over rows; which of both a size takes.

#include <cstdint>

#include "loopbank/ops/cuda/device.cuh"

namespace loopbank::ops::cuda {

/// Values of a lane at a time where rows and widths are multiples of it: 16 bytes of bf16.
inline constexpr int kWideVector = 8;
/// Columns that a warp passes over at once, as wide vectors.
inline constexpr int kWarpColumns = kLanes * kWideVector;

/// How a warp goes over the columns of its row: kVector values of a lane side by side, the lanes side
/// by side. kChunks times, unrolled, so that a lane can hold its values in registers; or, where
/// kChunks is 0, as often as it takes.
template <int kVector, int kChunks>
struct Columns {
  static constexpr int kHeld = kChunks > 0 ? kChunks : 1;

  /// visit(chunk, column): for each vector of this lane, `column` its first value.
  template <class Visit>
  LOOPBANK_DEVICE static void visit(int64_t width, const Visit& visit) {
    const int first = lane() * kVector;
    if constexpr (kChunks > 0) {
      LOOPBANK_UNROLL
      for (int chunk = 0; chunk < kChunks; ++chunk) {
        const int column = chunk * kLanes * kVector + first;
        if (column < width) {
          visit(chunk, static_cast<int64_t>(column));
        }
      }
    } else {
      LOOPBANK_NO_UNROLL
      for (int64_t column = first; column < width; column += kLanes * kVector) {
        visit(0, column);
      }
    }
  }
};

/// A row as its warp sees it: read once if it is held, else at every visit.
template <class T, int kVector, int kChunks>
class WarpRow {
 public:
  LOOPBANK_DEVICE WarpRow(const Global<const T>& rows, int64_t row, int64_t width)
      : rows_(rows), begin_(row * width) {
    if constexpr (kChunks > 0) {
      Columns<kVector, kChunks>::visit(
          width, [&](int chunk, int64_t column) { rows_.load(begin_ + column, held_[chunk]); });
    }
  }

  LOOPBANK_DEVICE void get(int chunk, int64_t column, float (&to)[kVector]) const {
    if constexpr (kChunks > 0) {
      LOOPBANK_UNROLL
      for (int i = 0; i < kVector; ++i) {
        to[i] = held_[chunk][i];
      }
    } else {
      rows_.load(begin_ + column, to);
    }
  }

 private:
  Global<const T> rows_;
  int64_t begin_;
  float held_[Columns<kVector, kChunks>::kHeld][kVector];
};

/// Sums over the rows that a block visits, column by column: each warp adds its rows in order, then
/// the block its warps in order. Without registers for them a block is one warp, which adds in
/// memory.
template <int kVector, int kChunks>
class ColumnSums {
 public:
  /// @param sums  [blocks, width]
  LOOPBANK_DEVICE ColumnSums(const Global<float>& sums, int64_t width)
      : sums_(sums), begin_(block_index() * width), width_(width) {
    LOOPBANK_UNROLL
    for (auto& chunk : held_) {
      LOOPBANK_UNROLL
      for (float& sum : chunk) {
        sum = 0.0F;
      }
    }
    if constexpr (kChunks == 0) {
      Columns<kVector, 0>::visit(
          width_, [&](int, int64_t column) { sums_.store(begin_ + column, held_[0]); });
    }
  }

  LOOPBANK_DEVICE void add(int chunk, int64_t column, const float (&values)[kVector]) {
    if constexpr (kChunks > 0) {
      LOOPBANK_UNROLL
      for (int i = 0; i < kVector; ++i) {
        held_[chunk][i] += values[i];
      }
    } else {
      float sum[kVector];
      sums_.load(begin_ + column, sum);
      for (int i = 0; i < kVector; ++i) {
        sum[i] += values[i];
      }
      sums_.store(begin_ + column, sum);
    }
  }

  /// Once, by all threads of the block.
  LOOPBANK_DEVICE void finish() {
    if constexpr (kChunks > 0) {
      constexpr int kColumns = kChunks * kLanes * kVector;
      LOOPBANK_SHARED(float, of_warps, kMostWarps* kColumns);
      sync_threads();  // the sums before these have been read
      const int warp = thread_index() / kLanes;
      Columns<kVector, kChunks>::visit(width_, [&](int chunk, int64_t column) {
        LOOPBANK_UNROLL
        for (int i = 0; i < kVector; ++i) {
          of_warps[warp * kColumns + column + i] = held_[chunk][i];
        }
      });
      sync_threads();
      const int warps = threads_per_block() / kLanes;
      for (int64_t column = thread_index(); column < width_; column += threads_per_block()) {
        float sum[1] = {0.0F};
        for (int other = 0; other < warps; ++other) {
          sum[0] += of_warps[other * kColumns + column];
        }
        sums_.store(begin_ + column, sum);
      }
    }
  }

 private:
  Global<float> sums_;
  int64_t begin_;
  int64_t width_;
  float held_[Columns<kVector, kChunks>::kHeld][kVector];
};

template <class T>
Global<T> global(const Values& x) {
  return {static_cast<T*>(x.data), x.size};
}
inline Global<const float> global_const(const Floats& x) {
  return {x.data, x.size};
}
inline Global<float> global_floats(const Floats& x) {
  return {x.data, x.size};
}

/// Whether wide vectors of rows of this width begin on 16 bytes everywhere.
template <class... Pointers>
bool takes_wide_vectors(int64_t width, const Pointers*... data) {
  return width % kWideVector == 0 &&
         ((reinterpret_cast<uintptr_t>(data) % kVectorBytes == 0) && ...);
}

template <int kValue>
using Constant = std::integral_constant<int, kValue>;

/// visit(type): float or Bf16, a value of it.
template <class Visit>
void with_type(bool is_bf16, const Visit& visit) {
  is_bf16 ? visit(Bf16{}) : visit(float{});
}

/// visit(vector): how many values a thread takes at a time.
template <class Visit>
void with_vector(bool is_wide, const Visit& visit) {
  is_wide ? visit(Constant<kWideVector>()) : visit(Constant<1>());
}

/// visit(vector, chunks) for Columns: in registers up to 1024 columns.
template <class Visit>
void with_columns(bool is_wide, int64_t width, const Visit& visit) {
  if (!is_wide) {
    visit(Constant<1>(), Constant<0>());
  } else if (width <= 3 * kWarpColumns) {
    visit(Constant<kWideVector>(), Constant<3>());
  } else if (width <= 4 * kWarpColumns) {
    visit(Constant<kWideVector>(), Constant<4>());
  } else {
    visit(Constant<kWideVector>(), Constant<0>());
  }
}

inline int64_t blocks_for(int64_t count, int64_t of_block) {
  // The most blocks of a grid that the kernels, which go on until all is done, have use for.
  constexpr int64_t kMostBlocks = int64_t{1} << 20U;
  const int64_t blocks = (count + of_block - 1) / of_block;
  return blocks < kMostBlocks ? blocks : kMostBlocks;
}

/// A warp a row.
inline Grid warp_rows(int64_t rows) {
  return {blocks_for(rows, kMostWarps), kMostThreads};
}

/// A block a row, of threads for each `vector` of its values.
inline Grid block_rows(int64_t rows, int64_t width, int vector, int most_threads = kMostThreads) {
  const int64_t threads = (width + vector - 1) / vector;
  const int64_t whole = (threads + kLanes - 1) / kLanes * kLanes;
  return {blocks_for(rows, 1), static_cast<int>(whole < most_threads ? whole : most_threads)};
}

/// Blocks whose rows are summed up; without registers for the sums, a warp each.
inline Grid summed_rows(int64_t rows, int chunks) {
  return {partial_sums(rows), chunks > 0 ? kMostThreads : kLanes};
}

}  // namespace loopbank::ops::cuda
