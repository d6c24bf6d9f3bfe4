#pragma once
/// Products of rows with panels of 8- and 4-bit codes by sums of whole numbers. Free of ATen.
///
///     y[o] = sum_g scale[o, g] * (step[g] * sum_{k in g} code[o, k] * x'[k])      x ~ step[g] * x'
///
/// Each row of x is rounded to 16 bits first, with one step, a power of two, for every group of 32
/// inputs. What a group sums up is exact, then rounded once to fp32; the sum over groups is taken
/// in fp32, g ascending. So every instruction set and number of rows gives one result (but for the
/// portable kernels, which round the product with `scale` as well).
///
/// Error: |x - step x'| is at most 2^-15 of the group's largest magnitude, and 0.4 %; values that
/// bf16 holds are exact where they are above 2^-6 of the largest. A product of 768 normal values is
/// off by 3.4e-5 of its norm.
///
/// Rejected: x in 8 bits, half the instructions. It is off by 5.4e-3, as much as codes of 8 bits
/// themselves are; one row from L3 gains nothing in int8, which waits for the memory, and 1.35
/// times in int4, 1.05 for a model of three loops; only many rows gain, 1.55 times. One step a row,
/// which a single large value coarsens.
///
/// A panel has up to 64 columns, a multiple of 16. For every 64 k, a pair of groups, it stores
/// - [columns] words: the scales of the even group in bf16 in the lower half, of the odd in the
/// upper
/// - int8: for each of the two groups [8][columns][4] codes + 128: k / 4, column, k % 4
/// - int4: [8][columns][4] bytes: code + 8 of the even group in the lower half, of the odd in the
///   upper

#include <cstdint>

#include "loopbank/ops/simd/elementwise_values.h"
#include "loopbank/ops/simd/panel_kernels.h"

namespace loopbank::ops {

constexpr int64_t kGroupInputs = 32;  ///< that share a scale: quantization.h's
constexpr int64_t kPairInputs = 64;   ///< k that a panel stores together

/// How a row's numbers x' of 16 bits are stored.
enum class CodedDigits {
  kBytes,  ///< x' = 256 high + low: [width] high, [width] low, both signed
  kWords,  ///< [width / 4][4] whole words; of four k the first, third, second and fourth
};

/// Bytes of a row of `width` k, a multiple of 64: the digits, then for each group the step in fp32,
/// then for each group what the sum of its codes as stored has too much, int32, negated.
[[nodiscard]] constexpr int64_t coded_row_bytes(int64_t width) {
  return 2 * width + width / kGroupInputs * int64_t{sizeof(float) + sizeof(int32_t)};
}

/// Rounds a row to 16 bits for products with codes of `bits` bits. Values that are not finite make
/// their group's step, and with it every sum, NaN.
/// @param count  values of x; from there to width x is 0
/// @param to     coded_row_bytes(width) bytes from a multiple of 64 on
void code_row(ConstValues x, int64_t count, CodedDigits digits, int64_t bits, int64_t width,
              char* to);

/// Some k of some rows with one panel, or all k of one row with several.
struct CodeProduct {
  const char* x = nullptr;        ///< rows of coded_row_bytes(width)
  int64_t x_bytes = 0;            ///< from a row to the next
  int64_t width = 0;              ///< of a row
  int64_t first = 0;              ///< k from which on, a multiple of 64
  const char* weights = nullptr;  ///< the panel from there on
  int64_t columns = 0;
  int64_t panels = 1;       ///< with one row only: of the same columns, whose sums lie side by side
  int64_t panel_bytes = 0;  ///< from a panel to the next
  float* sums = nullptr;    ///< [rows, 64]
  int64_t rows = 0;
  int64_t depth = 0;       ///< a multiple of 64
  bool add = false;        ///< to the sums that are there; else they begin at 0
  MemoryAhead ahead = {};  ///< read with one row by AVX-512 VNNI
};

using MultiplyCodes = void (*)(const CodeProduct& product);

struct CodeKernels {
  MultiplyCodes int8 = nullptr, int4 = nullptr;
  CodedDigits digits = CodedDigits::kWords;
};

/// Those of AVX-512 VNNI, where the CPU has it.
/// @return whether it has
bool take_vnni_code_kernels(CodeKernels& kernels);

/// The instruction sets that have kernels of their own, the plainest first.
enum class CodeInstructions { kAny, kAvx2, kAvx512Vnni };

/// Those of the best instruction set that the CPU has, up to `most`.
[[nodiscard]] CodeKernels code_kernels_of_cpu(CodeInstructions most);

}  // namespace loopbank::ops
