#include "loopbank/train/bucket_layout.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace loopbank {
namespace {

int64_t rounded_up(int64_t count, int64_t unit) {
  return (count + unit - 1) / unit * unit;
}

int64_t block_of(const BucketMember& member) {
  return member.row_width > 0 ? member.row_width : kNormBlock;
}

/// Values, padding included.
int64_t length_of(const BucketLayout& bucket) {
  if (bucket.members.empty()) {
    return 0;
  }
  const auto& last = bucket.members.back();
  return rounded_up(last.offset + last.count, bucket.block);
}

}  // namespace

std::vector<BucketPart> BucketLayout::parts_of(int64_t rank, int64_t longest) const {
  const auto first = rank * slice;
  const auto most = block * std::max<int64_t>(1, longest / block);
  std::vector<BucketPart> parts;
  for (const auto& member : members) {
    const auto end = std::min(first + slice, member.offset + member.count);
    for (auto at = std::max(first, member.offset); at < end;) {
      // Parts end where those of a whole parameter do, so that threads meet the same blocks.
      const auto begin = at - member.offset;
      const auto count = std::min(end - at, most - begin % most);
      parts.push_back({member.parameter, begin, count, at - first});
      at += count;
    }
  }
  return parts;
}

std::vector<BucketLayout> lay_out_buckets(const std::vector<BucketMember>& members, int64_t ranks) {
  const auto total = std::accumulate(members.begin(), members.end(), int64_t{0},
                                     [](int64_t sum, const BucketMember& member) {
                                       return sum + rounded_up(member.count, block_of(member));
                                     });
  const auto most = std::min(kBucketBytes / static_cast<int64_t>(sizeof(float)),
                             std::max(total / kFewestBuckets, ranks * kNormBlock));
  std::vector<BucketLayout> buckets;
  for (const auto& member : members) {
    const auto block = block_of(member);
    const bool in_rows = member.row_width > 0;
    const bool fits = !buckets.empty() && buckets.back().in_rows == in_rows &&
                      buckets.back().block == block &&
                      length_of(buckets.back()) + rounded_up(member.count, block) <= most;
    if (!fits) {
      buckets.push_back({.in_rows = in_rows, .block = block, .slice = 0, .members = {}});
    }
    auto& bucket = buckets.back();
    bucket.members.push_back({member.parameter, 0, member.count, length_of(bucket)});
  }
  for (auto& bucket : buckets) {
    bucket.slice = rounded_up(length_of(bucket), ranks * bucket.block) / ranks;
  }
  return buckets;
}

std::vector<BlockPlace> block_places(const std::vector<BucketLayout>& buckets,
                                     size_t num_parameters, int64_t longest) {
  std::vector<std::vector<BlockPlace>> by_parameter(num_parameters);
  int64_t before = 0;  // blocks of a rank in earlier buckets
  for (const auto& bucket : buckets) {
    for (const auto& member : bucket.members) {
      for (int64_t begin = 0; begin < member.count; begin += bucket.block) {
        const auto at = member.offset + begin;
        by_parameter[member.parameter].push_back(
            {.rank = at / bucket.slice,
             .index = before + at % bucket.slice / bucket.block,
             .starts_part = bucket.in_rows || begin % longest == 0});
      }
    }
    before += bucket.slice / bucket.block;
  }
  std::vector<BlockPlace> places;
  for (const auto& of_one : by_parameter) {
    places.insert(places.end(), of_one.begin(), of_one.end());
  }
  return places;
}

double norm_of_blocks(const std::vector<BlockPlace>& places,
                      const std::vector<std::vector<double>>& sums) {
  double total = 0.0;
  double part = 0.0;
  for (const auto& place : places) {
    if (place.starts_part) {
      total += part;
      part = 0.0;
    }
    part += sums[static_cast<size_t>(place.rank)][static_cast<size_t>(place.index)];
  }
  return std::sqrt(total + part);
}

}  // namespace loopbank
