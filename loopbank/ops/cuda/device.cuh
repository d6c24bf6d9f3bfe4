#pragma once
/// What the kernels take of a CUDA device, in one layer: threads and their exchange, memory that is
/// only reached through checked views, 16 bytes at a time.
///
/// Why a layer: the tests compile the same kernels for the CPU, where a stand-in for the device
/// (tests/cuda/device_emulator.h) runs each block thread by thread and sees every access out of
/// bounds, every unaligned vector, every barrier that not all threads reach. Under nvcc each function
/// here is the one instruction of its name.
///
/// Neither LibTorch nor the library is included: nvcc reads these files alone.

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "loopbank/ops/cuda/launches.h"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_runtime.h>
// One block at least: where nothing is said, ptxas spills registers to fit more.
#define LOOPBANK_KERNEL(threads) static __global__ void __launch_bounds__(threads, 1)
#define LOOPBANK_DEVICE __device__ __forceinline__
#define LOOPBANK_SHARED(type, name, count) __shared__ type name[count]
#define LOOPBANK_UNROLL _Pragma("unroll")
#define LOOPBANK_NO_UNROLL _Pragma("unroll 1")
#else
#include <cstddef>
#include <cstring>
#include <functional>
#define LOOPBANK_KERNEL(threads) static void
#define LOOPBANK_DEVICE inline
#define LOOPBANK_SHARED(type, name, count) static SharedArray<type, count> name
#define LOOPBANK_UNROLL
#define LOOPBANK_NO_UNROLL
#endif

namespace loopbank::ops::cuda {

inline constexpr int kLanes = 32;         ///< threads of a warp
inline constexpr int kMostThreads = 256;  ///< of a block, but for the cross-entropy
inline constexpr int kMostWarps = kMostThreads / kLanes;
inline constexpr int kVectorBytes = 16;  ///< of the widest load

/// Blocks and threads of a launch.
struct Grid {
  int64_t blocks = 0;
  int threads = 0;  ///< a multiple of kLanes
};

/// bf16 as it lies in memory.
struct Bf16 {
  uint16_t bits;
};

#ifdef __CUDACC__

LOOPBANK_DEVICE int thread_index() {
  return static_cast<int>(threadIdx.x);
}
LOOPBANK_DEVICE int threads_per_block() {
  return static_cast<int>(blockDim.x);
}
LOOPBANK_DEVICE int64_t block_index() {
  return blockIdx.x;
}
LOOPBANK_DEVICE int64_t num_blocks() {
  return gridDim.x;
}
LOOPBANK_DEVICE void sync_threads() {
  __syncthreads();
}
/// The value of lane (own lane xor `mask`); every lane of the warp takes part.
LOOPBANK_DEVICE float shuffle_xor(float value, int mask) {
  return __shfl_xor_sync(0xffffffffU, value, mask);
}
LOOPBANK_DEVICE float bits_to_float(uint32_t bits) {
  return __uint_as_float(bits);
}
LOOPBANK_DEVICE uint32_t float_to_bits(float x) {
  return __float_as_uint(x);
}
LOOPBANK_DEVICE uint32_t to_bf16_bits(float x) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(x));
}
LOOPBANK_DEVICE float exponential(float x) {
  return expf(x);
}
LOOPBANK_DEVICE float logarithm(float x) {
  return logf(x);
}
LOOPBANK_DEVICE float logarithm_of_one_plus(float x) {
  return log1pf(x);
}
LOOPBANK_DEVICE float square_root(float x) {
  return sqrtf(x);
}
LOOPBANK_DEVICE float larger(float a, float b) {
  return fmaxf(a, b);
}
LOOPBANK_DEVICE float magnitude(float x) {
  return fabsf(x);
}

#else

// The stand-in's, in the tests.
int thread_index();
int threads_per_block();
int64_t block_index();
int64_t num_blocks();
void sync_threads();
float shuffle_xor(float value, int mask);
void run_on_device(const Grid& grid, const std::function<void()>& thread);
/// Throws where `bytes` at `address` do not lie in [begin, begin + size) or on their own multiple, or
/// where another thread of this launch wrote them.
void check_read(const void* begin, int64_t size, const void* address, int64_t bytes);
void check_write(const void* begin, int64_t size, const void* address, int64_t bytes);
/// Memory that a block shares: filled with NaN when a block begins.
void add_shared_memory(void* begin, int64_t bytes);
void check_shared_index(int64_t index, int64_t count);

template <class T, int kCount>
class SharedArray {
 public:
  SharedArray() { add_shared_memory(values_, sizeof(values_)); }
  T& operator[](int64_t index) {
    check_shared_index(index, kCount);
    return values_[index];
  }

 private:
  T values_[kCount];
};

inline float bits_to_float(uint32_t bits) {
  float x = 0.0F;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}
inline uint32_t float_to_bits(float x) {
  uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof(x));
  return bits;
}
/// Rounded to the nearest, ties to even; the kernels give no NaN other than those they are given.
inline uint32_t to_bf16_bits(float x) {
  const uint32_t bits = float_to_bits(x);
  return x != x ? 0x7fffU : (bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U;
}
inline float exponential(float x) {
  return std::exp(x);
}
inline float logarithm(float x) {
  return std::log(x);
}
inline float logarithm_of_one_plus(float x) {
  return std::log1p(x);
}
inline float square_root(float x) {
  return std::sqrt(x);
}
inline float larger(float a, float b) {
  return a > b ? a : b;
}
inline float magnitude(float x) {
  return std::abs(x);
}

#endif

/// Starts a kernel; what CUDA says against it is an Error of kDevice.
template <class Call>
void launch(const char* name, void (*kernel)(Call), const Grid& grid, Stream stream,
            const Call& call) {
#ifdef __CUDACC__
  kernel<<<static_cast<unsigned>(grid.blocks), static_cast<unsigned>(grid.threads), 0,
           static_cast<cudaStream_t>(stream)>>>(call);
  if (const auto error = cudaGetLastError(); error != cudaSuccess) {
    launch_failed(name, cudaGetErrorString(error));
  }
#else
  static_cast<void>(name);
  static_cast<void>(stream);
  run_on_device(grid, [&] { kernel(call); });
#endif
}

LOOPBANK_DEVICE int lane() {
  return thread_index() % kLanes;
}
/// Of all warps of the launch.
LOOPBANK_DEVICE int64_t warp_index() {
  return block_index() * (threads_per_block() / kLanes) + thread_index() / kLanes;
}
LOOPBANK_DEVICE int64_t num_warps() {
  return num_blocks() * (threads_per_block() / kLanes);
}
/// Of all threads of the launch.
LOOPBANK_DEVICE int64_t global_thread_index() {
  return block_index() * threads_per_block() + thread_index();
}
LOOPBANK_DEVICE int64_t num_threads() {
  return num_blocks() * threads_per_block();
}

/// The sum over the lanes of each group of `lanes` (a power of two), the same bits in each of them.
LOOPBANK_DEVICE float group_sum(float value, int lanes) {
  for (int mask = lanes / 2; mask > 0; mask /= 2) {
    value += shuffle_xor(value, mask);
  }
  return value;
}
LOOPBANK_DEVICE float warp_sum(float value) {
  return group_sum(value, kLanes);
}

/// Memory of the device: all reads and writes of kernels go through it, kVector values at a time,
/// fp32 in registers.
template <class T>
struct Global {
  T* data = nullptr;
  int64_t size = 0;  ///< values

  LOOPBANK_DEVICE explicit operator bool() const { return data != nullptr; }

  LOOPBANK_DEVICE std::remove_const_t<T> value(int64_t at) const {
    check<true>(at, 1);
    return data[at];
  }

  template <int kVector>
  LOOPBANK_DEVICE void load(int64_t at, float (&to)[kVector]) const {
    if constexpr (kVector == 1) {
      check<true>(at, 1);
      to[0] = as_float(data[at]);
    } else {
      constexpr int kWords = kVector * static_cast<int>(sizeof(T)) / 4;
      uint32_t words[kWords];
      LOOPBANK_UNROLL
      for (int i = 0; i < kWords; i += 4) {
        load_words(at + i * 4 / static_cast<int>(sizeof(T)), words + i);
      }
      unpack(words, to);
    }
  }

  template <int kVector>
  LOOPBANK_DEVICE void store(int64_t at, const float (&from)[kVector]) const {
    if constexpr (kVector == 1) {
      check<false>(at, 1);
      set(data[at], from[0]);
    } else {
      constexpr int kWords = kVector * static_cast<int>(sizeof(T)) / 4;
      uint32_t words[kWords];
      pack(from, words);
      LOOPBANK_UNROLL
      for (int i = 0; i < kWords; i += 4) {
        store_words(at + i * 4 / static_cast<int>(sizeof(T)), words + i);
      }
    }
  }

 private:
  static constexpr bool kIsBf16 = std::is_same_v<std::remove_const_t<T>, Bf16>;

  template <bool kReads>
  LOOPBANK_DEVICE void check([[maybe_unused]] int64_t at, [[maybe_unused]] int64_t count) const {
#ifndef __CUDACC__
    const auto bytes = static_cast<int64_t>(sizeof(T));
    const auto* const begin = reinterpret_cast<const char*>(data);
    (kReads ? check_read : check_write)(begin, size * bytes, begin + at * bytes, count * bytes);
#endif
  }

  LOOPBANK_DEVICE static float as_float(std::remove_const_t<T> x) {
    if constexpr (kIsBf16) {
      return bits_to_float(static_cast<uint32_t>(x.bits) << 16U);
    } else {
      return x;
    }
  }
  LOOPBANK_DEVICE static void set(std::remove_const_t<T>& to, float x) {
    if constexpr (kIsBf16) {
      to.bits = static_cast<uint16_t>(to_bf16_bits(x));
    } else {
      to = x;
    }
  }

  /// 16 bytes. What a kernel only reads goes through the cache for that.
  LOOPBANK_DEVICE void load_words(int64_t at, uint32_t* words) const {
    check<true>(at, kVectorBytes / static_cast<int64_t>(sizeof(T)));
#ifdef __CUDACC__
    const auto* const from = reinterpret_cast<const uint4*>(data + at);
    const uint4 x = std::is_const_v<T> ? __ldg(from) : *from;
    words[0] = x.x;
    words[1] = x.y;
    words[2] = x.z;
    words[3] = x.w;
#else
    std::memcpy(words, data + at, kVectorBytes);
#endif
  }
  LOOPBANK_DEVICE void store_words(int64_t at, const uint32_t* words) const {
    check<false>(at, kVectorBytes / static_cast<int64_t>(sizeof(T)));
#ifdef __CUDACC__
    *reinterpret_cast<uint4*>(data + at) = make_uint4(words[0], words[1], words[2], words[3]);
#else
    std::memcpy(data + at, words, kVectorBytes);
#endif
  }

  template <int kVector, int kWords>
  LOOPBANK_DEVICE static void unpack(const uint32_t (&words)[kWords], float (&to)[kVector]) {
    LOOPBANK_UNROLL
    for (int i = 0; i < kVector; ++i) {
      if constexpr (kIsBf16) {
        const uint32_t word = words[i / 2];
        to[i] = bits_to_float(i % 2 == 0 ? word << 16U : word & 0xffff0000U);
      } else {
        to[i] = bits_to_float(words[i]);
      }
    }
  }
  template <int kVector, int kWords>
  LOOPBANK_DEVICE static void pack(const float (&from)[kVector], uint32_t (&words)[kWords]) {
    LOOPBANK_UNROLL
    for (int i = 0; i < kWords; ++i) {
      if constexpr (kIsBf16) {
        words[i] = to_bf16_bits(from[2 * i]) | (to_bf16_bits(from[2 * i + 1]) << 16U);
      } else {
        words[i] = float_to_bits(from[i]);
      }
    }
  }
};

}  // namespace loopbank::ops::cuda
