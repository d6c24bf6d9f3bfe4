#pragma once
/// Rotation and norm of query and key heads: a warp a row of the joined projection, a group of its
/// lanes a head. A lane holds kVector pairs (i, i + d/2), so that both halves are loaded as vectors.

#include "loopbank/ops/cuda/rows.cuh"

namespace loopbank::ops::cuda {

/// What forward and backward read.
template <class T>
struct RotaryInputs {
  Global<const T> qkv;
  Global<const float> cosines, sines, query_weight, key_weight;
  int64_t rows, positions;
  int num_queries, num_keys, width;
  int lanes;  // of a head's group, a power of two
  float eps;
  NormPlace place;

  LOOPBANK_DEVICE int half() const { return width / 2; }
  LOOPBANK_DEVICE int num_heads() const { return num_queries + num_keys; }
  LOOPBANK_DEVICE int64_t columns() const {
    return static_cast<int64_t>(num_queries + 2 * num_keys) * width;
  }
  /// Where head `head`, queries then keys, of a row begins among the queries or the keys.
  LOOPBANK_DEVICE int64_t begin_of_own(int64_t row, int head) const {
    return head < num_queries ? (row * num_queries + head) * width
                              : (row * num_keys + head - num_queries) * width;
  }
};

/// A lane's pairs of one head, rotated where the norm comes last, and divided by the root mean square
/// where there is a norm: n = r inverse.
template <int kVector>
struct RotatedPairs {
  float first[kVector], second[kVector];
  float cosines[kVector], sines[kVector];
  float inverse;

  /// Rotates pairs by the angles of these.
  LOOPBANK_DEVICE void turn(float (&x)[kVector], float (&y)[kVector]) const {
    LOOPBANK_UNROLL
    for (int i = 0; i < kVector; ++i) {
      const float turned = x[i] * cosines[i] - y[i] * sines[i];
      y[i] = y[i] * cosines[i] + x[i] * sines[i];
      x[i] = turned;
    }
  }
  /// And back.
  LOOPBANK_DEVICE void turn_back(float (&x)[kVector], float (&y)[kVector]) const {
    LOOPBANK_UNROLL
    for (int i = 0; i < kVector; ++i) {
      const float turned = x[i] * cosines[i] + y[i] * sines[i];
      y[i] = y[i] * cosines[i] - x[i] * sines[i];
      x[i] = turned;
    }
  }
};

/// @param takes  whether this lane has pairs of a head; the others take part in the sum
template <class T, int kVector>
LOOPBANK_DEVICE void rotate(const RotaryInputs<T>& in, int64_t row, int head, int pair, bool takes,
                            RotatedPairs<kVector>& to) {
  float squares = 0.0F;
  if (takes) {
    const int64_t begin = row * in.columns() + static_cast<int64_t>(head) * in.width + pair;
    const int64_t angles = row % in.positions * in.half() + pair;
    in.qkv.load(begin, to.first);
    in.qkv.load(begin + in.half(), to.second);
    in.cosines.load(angles, to.cosines);
    in.sines.load(angles, to.sines);
    if (in.place == NormPlace::kAfter) {
      to.turn(to.first, to.second);
    }
    LOOPBANK_UNROLL
    for (int i = 0; i < kVector; ++i) {
      squares += to.first[i] * to.first[i] + to.second[i] * to.second[i];
    }
  }
  if (in.place == NormPlace::kNone) {
    to.inverse = 1.0F;
    return;
  }
  squares = group_sum(squares, in.lanes);
  to.inverse = 1.0F / square_root(squares / static_cast<float>(in.width) + in.eps);
  LOOPBANK_UNROLL
  for (int i = 0; i < kVector; ++i) {
    to.first[i] *= to.inverse;
    to.second[i] *= to.inverse;
  }
}

/// visit(head, pair, takes) for the heads of a row that this lane's group has; every lane of the warp
/// makes the same number of visits.
template <class T, int kVector, class Visit>
LOOPBANK_DEVICE void visit_heads(const RotaryInputs<T>& in, const Visit& visit) {
  const int pair = lane() % in.lanes * kVector;
  const int groups = kLanes / in.lanes;
  for (int first = 0; first < in.num_heads(); first += groups) {
    const int head = first + lane() / in.lanes;
    visit(head, pair, head < in.num_heads() && pair < in.half());
  }
}

template <class T>
struct RotaryForwardOf {
  RotaryInputs<T> in;
  Global<T> query, key;
};

template <class T, int kVector>
LOOPBANK_KERNEL(kMostThreads)
rotary_forward_rows(RotaryForwardOf<T> call) {
  const auto& in = call.in;
  for (int64_t row = warp_index(); row < in.rows; row += num_warps()) {
    visit_heads<T, kVector>(in, [&](int head, int pair, bool takes) {
      RotatedPairs<kVector> n = {};
      rotate(in, row, head, pair, takes, n);
      if (!takes) {
        return;
      }
      const bool is_query = head < in.num_queries;
      if (in.place != NormPlace::kNone) {
        const auto& weight = is_query ? in.query_weight : in.key_weight;
        float first[kVector], second[kVector];
        weight.load(pair, first);
        weight.load(pair + in.half(), second);
        LOOPBANK_UNROLL
        for (int i = 0; i < kVector; ++i) {
          n.first[i] *= first[i];
          n.second[i] *= second[i];
        }
      }
      if (in.place != NormPlace::kAfter) {
        n.turn(n.first, n.second);
      }
      const auto& to = is_query ? call.query : call.key;
      const int64_t begin = in.begin_of_own(row, head) + pair;
      to.store(begin, n.first);
      to.store(begin + in.half(), n.second);
    });
  }
}

/// A weight's gradient: a lane's pairs of all heads that its group has had.
template <int kVector>
struct PairSums {
  float first[kVector] = {};
  float second[kVector] = {};

  LOOPBANK_DEVICE void add(const float (&dy_first)[kVector], const float (&dy_second)[kVector],
                           const RotatedPairs<kVector>& n) {
    LOOPBANK_UNROLL
    for (int i = 0; i < kVector; ++i) {
      first[i] += dy_first[i] * n.first[i];
      second[i] += dy_second[i] * n.second[i];
    }
  }

  /// Over the groups of the warps, then over the warps, to row block_index() of sums [blocks, d].
  LOOPBANK_DEVICE void finish(const Global<float>& sums, int width, int lanes) {
    constexpr int kColumns = 2 * kLanes * kVector;
    LOOPBANK_SHARED(float, of_warps, kMostWarps* kColumns);
    for (int mask = lanes; mask < kLanes; mask *= 2) {
      LOOPBANK_UNROLL
      for (int i = 0; i < kVector; ++i) {
        first[i] += shuffle_xor(first[i], mask);
        second[i] += shuffle_xor(second[i], mask);
      }
    }
    sync_threads();  // the sums before these have been read
    const int pair = lane() * kVector;
    if (lane() < lanes && pair < width / 2) {
      const int begin = thread_index() / kLanes * kColumns + pair;
      LOOPBANK_UNROLL
      for (int i = 0; i < kVector; ++i) {
        of_warps[begin + i] = first[i];
        of_warps[begin + width / 2 + i] = second[i];
      }
    }
    sync_threads();
    const int warps = threads_per_block() / kLanes;
    for (int column = thread_index(); column < width; column += threads_per_block()) {
      float sum[1] = {0.0F};
      for (int warp = 0; warp < warps; ++warp) {
        sum[0] += of_warps[warp * kColumns + column];
      }
      sums.store(block_index() * width + column, sum);
    }
  }
};

template <class T>
struct RotaryBackwardOf {
  RotaryInputs<T> in;
  Global<const T> dquery, dkey, dvalue;
  Global<T> dqkv;
  Global<float> dquery_weights, dkey_weights;
};

/// With g = w dy: dr = inverse (g - mean(g n) n), turned back; dw = sum dy n. Where the norm does not
/// come last it is dy that is turned back; without one that is all.
template <class T, int kVector>
LOOPBANK_DEVICE void rotate_back(const RotaryBackwardOf<T>& call, int64_t row, int head, int pair,
                                 bool takes, PairSums<kVector>& dquery_weight,
                                 PairSums<kVector>& dkey_weight) {
  const auto& in = call.in;
  RotatedPairs<kVector> n = {};
  rotate(in, row, head, pair, takes, n);
  float first[kVector] = {};
  float second[kVector] = {};
  float of_gn = 0.0F;
  if (takes) {
    const bool is_query = head < in.num_queries;
    const auto& dy = is_query ? call.dquery : call.dkey;
    const int64_t begin = in.begin_of_own(row, head) + pair;
    dy.load(begin, first);
    dy.load(begin + in.half(), second);
    if (in.place != NormPlace::kAfter) {
      n.turn_back(first, second);
    }
    if (in.place != NormPlace::kNone) {
      const auto& weight = is_query ? in.query_weight : in.key_weight;
      float weights_first[kVector], weights_second[kVector];
      weight.load(pair, weights_first);
      weight.load(pair + in.half(), weights_second);
      if (is_query) {
        dquery_weight.add(first, second, n);
      } else {
        dkey_weight.add(first, second, n);
      }
      LOOPBANK_UNROLL
      for (int i = 0; i < kVector; ++i) {
        first[i] *= weights_first[i];
        second[i] *= weights_second[i];
        of_gn += first[i] * n.first[i] + second[i] * n.second[i];
      }
    }
  }
  of_gn = group_sum(of_gn, in.lanes) / static_cast<float>(in.width);
  if (!takes) {
    return;
  }
  if (in.place != NormPlace::kNone) {
    LOOPBANK_UNROLL
    for (int i = 0; i < kVector; ++i) {
      first[i] = n.inverse * (first[i] - of_gn * n.first[i]);
      second[i] = n.inverse * (second[i] - of_gn * n.second[i]);
    }
  }
  if (in.place == NormPlace::kAfter) {
    n.turn_back(first, second);
  }
  const int64_t to = row * in.columns() + static_cast<int64_t>(head) * in.width + pair;
  call.dqkv.store(to, first);
  call.dqkv.store(to + in.half(), second);
}

template <class T, int kVector>
LOOPBANK_KERNEL(kMostThreads)
rotary_backward_rows(RotaryBackwardOf<T> call) {
  const auto& in = call.in;
  PairSums<kVector> dquery_weight, dkey_weight;
  for (int64_t row = warp_index(); row < in.rows; row += num_warps()) {
    visit_heads<T, kVector>(in, [&](int head, int pair, bool takes) {
      rotate_back(call, row, head, pair, takes, dquery_weight, dkey_weight);
    });
    const int64_t values = static_cast<int64_t>(in.num_keys) * in.width;
    const int64_t first = static_cast<int64_t>(in.num_heads()) * in.width;
    Columns<kVector, 0>::visit(values, [&](int, int64_t column) {
      float dvalue[kVector];
      call.dvalue.load(row * values + column, dvalue);
      call.dqkv.store(row * in.columns() + first + column, dvalue);
    });
  }
  if (in.place != NormPlace::kNone) {
    dquery_weight.finish(call.dquery_weights, in.width, in.lanes);
    dkey_weight.finish(call.dkey_weights, in.width, in.lanes);
  }
}

}  // namespace loopbank::ops::cuda
