#pragma once
/// Where gradients lie in the buckets that ranks exchange: plain numbers, no tensors.
///
/// A bucket is a row of whole parameters in fp32, in the order in which their gradients become ready,
/// cut into one slice of equal length a rank: that rank owns it, which is to say it adds the ranks'
/// slices up, keeps their moments and steps their values. A parameter starts at a multiple of the
/// bucket's block, and a slice is a number of whole blocks; what is left over is padding, zeros.
///
/// Blocks are what one process takes sums of squares over: kNormBlock values, or a row where the
/// gradient comes in rows. So the norm of many ranks is made of the sums of one process, added in the
/// same order.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "loopbank/train/adamw_kernels.h"

namespace loopbank {

/// Values of a dense gradient whose squares one process sums in fp32.
constexpr int64_t kNormBlock = static_cast<int64_t>(kSquaresInFp32);
/// Bytes of a bucket, unless a parameter is larger: as in PyTorch's DistributedDataParallel.
constexpr int64_t kBucketBytes = 25'000'000;
/// A small model has about so many.
constexpr int64_t kFewestBuckets = 8;

/// A parameter to place.
struct BucketMember {
  size_t parameter = 0;
  int64_t count = 0;      ///< values
  int64_t row_width = 0;  ///< of a gradient that comes in rows; 0: it is dense
};

/// A run of a parameter's values.
struct BucketPart {
  size_t parameter = 0;
  int64_t begin = 0;   ///< in the parameter
  int64_t count = 0;   ///< values
  int64_t offset = 0;  ///< in the bucket or in a slice
};

struct BucketLayout {
  bool in_rows = false;             ///< of gradients that come in rows
  int64_t block = 0;                ///< values
  int64_t slice = 0;                ///< values a rank
  std::vector<BucketPart> members;  ///< whole parameters; offsets in the bucket

  /// What the slice of a rank holds; offsets in the slice. Parts of whole blocks, of at most
  /// `longest` values where a block is not longer.
  [[nodiscard]] std::vector<BucketPart> parts_of(int64_t rank, int64_t longest) const;
};

/// @param members  in the order in which they become ready
/// @param ranks    1 or more
[[nodiscard]] std::vector<BucketLayout> lay_out_buckets(const std::vector<BucketMember>& members,
                                                        int64_t ranks);

/// Where the sum of squares of each block is found, in the order in which one process adds them up.
struct BlockPlace {
  int64_t rank = 0;
  int64_t index = 0;         ///< among the blocks of all that rank's slices, bucket by bucket
  bool starts_part = false;  ///< of those over which one process sums before it adds them up
};

/// @param longest         values of such a part of a dense gradient
/// @param num_parameters  of the model, whose order the sums follow
[[nodiscard]] std::vector<BlockPlace> block_places(const std::vector<BucketLayout>& buckets,
                                                   size_t num_parameters, int64_t longest);

/// sqrt of all blocks together, added as gradient_norm does.
/// @param sums  of each rank, as many as its slices have blocks
[[nodiscard]] double norm_of_blocks(const std::vector<BlockPlace>& places,
                                    const std::vector<std::vector<double>>& sums);

}  // namespace loopbank
