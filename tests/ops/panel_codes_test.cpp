#include "loopbank/ops/simd/panel_codes.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/panel_kernels.h"
#include "loopbank/support/random.h"

namespace loopbank::ops {
namespace {

constexpr int64_t kBits[] = {8, 4};

/// Nearly normal, between -6 and 6.
float near_normal(RandomStream& random) {
  double sum = -6.0;
  for (int i = 0; i < 12; ++i) {
    sum += random.uniform();
  }
  return static_cast<float>(sum);
}

/// Codes of a panel as it stores them, and what they stand for.
struct RandomPanel {
  int64_t bits;
  int64_t columns;
  int64_t width;
  std::vector<char> bytes;

  RandomPanel(int64_t bits_of, int64_t columns_of, int64_t width_of, RandomStream& random)
      : bits(bits_of), columns(columns_of), width(width_of) {
    bytes.resize(static_cast<size_t>(pair_bytes() * width / kPairInputs));
    for (auto& byte : bytes) {
      byte = static_cast<char>(random.below(256));
    }
    for (int64_t pair = 0; pair < width / kPairInputs; ++pair) {
      for (int64_t word = 0; word < 2 * columns; ++word) {
        const auto scale = near_normal(random) / 64.0F;
        const auto upper = static_cast<uint16_t>(std::bit_cast<uint32_t>(scale) >> 16U);
        std::memcpy(bytes.data() + pair * pair_bytes() + 2 * word, &upper, sizeof(upper));
      }
    }
  }

  [[nodiscard]] int64_t pair_bytes() const { return columns * (4 + kPairInputs * bits / 8); }

  [[nodiscard]] float scale(int64_t k, int64_t column) const {
    uint32_t word = 0;
    std::memcpy(&word, bytes.data() + k / kPairInputs * pair_bytes() + 4 * column, sizeof(word));
    return std::bit_cast<float>(k / kGroupInputs % 2 == 0 ? word << 16U : word & 0xFFFF0000U);
  }

  [[nodiscard]] int code(int64_t k, int64_t column) const {
    const auto half = k / kGroupInputs % 2;
    const auto* const codes = bytes.data() + k / kPairInputs * pair_bytes() + 4 * columns;
    const auto place = k % kGroupInputs / 4 * columns * 4 + column * 4 + k % 4;
    if (bits == 8) {
      return static_cast<unsigned char>(codes[half * columns * kGroupInputs + place]) - 128;
    }
    const auto byte = static_cast<unsigned char>(codes[place]);
    return (half == 0 ? byte & 15 : byte >> 4) - 8;
  }
};

/// Rows of random numbers as the kernels take them.
struct CodedRowsOfTest {
  int64_t bytes;
  std::vector<char> memory;
  char* data;

  CodedRowsOfTest(const std::vector<float>& x, int64_t rows, int64_t width, int64_t bits,
                  CodedDigits digits)
      : bytes((coded_row_bytes(width) + 63) / 64 * 64),
        memory(static_cast<size_t>(rows * bytes + 64)),
        data(memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64)) {
    for (int64_t row = 0; row < rows; ++row) {
      code_row({x.data() + row * width, false}, width, digits, bits, width, data + row * bytes);
    }
  }
};

std::vector<float> random_rows(int64_t rows, int64_t width, RandomStream& random) {
  std::vector<float> x;
  for (int64_t i = 0; i < rows * width; ++i) {
    x.push_back(near_normal(random));
  }
  return x;
}

std::vector<float> product(const RandomPanel& panel, const std::vector<float>& x, int64_t rows,
                           CodeInstructions most) {
  const auto kernels = code_kernels_of_cpu(most);
  const CodedRowsOfTest coded(x, rows, panel.width, panel.bits, kernels.digits);
  std::vector<float> sums(static_cast<size_t>(rows * kPanelColumns));
  (panel.bits == 8 ? kernels.int8 : kernels.int4)({.x = coded.data,
                                                   .x_bytes = coded.bytes,
                                                   .width = panel.width,
                                                   .first = 0,
                                                   .weights = panel.bytes.data(),
                                                   .columns = panel.columns,
                                                   .sums = sums.data(),
                                                   .rows = rows,
                                                   .depth = panel.width,
                                                   .add = false});
  return sums;
}

TEST(PanelCodes, AreMultipliedAsTheyAreDefined) {
  RandomStream random(1);
  for (const auto bits : kBits) {
    for (const int64_t columns : {16, 48, 64}) {
      for (const int64_t rows : {1, 2, 3, 7}) {
        const RandomPanel panel(bits, columns, 192, random);
        const auto x = random_rows(rows, panel.width, random);
        for (const auto most :
             {CodeInstructions::kAny, CodeInstructions::kAvx2, CodeInstructions::kAvx512Vnni}) {
          const auto sums = product(panel, x, rows, most);
          for (int64_t row = 0; row < rows; ++row) {
            for (int64_t column = 0; column < columns; ++column) {
              double exact = 0.0;
              double bound = 0.0;  // steps are at most 2^-12 for values below 8
              for (int64_t k = 0; k < panel.width; ++k) {
                const double weight = double{panel.scale(k, column)} * panel.code(k, column);
                exact += weight * x[static_cast<size_t>(row * panel.width + k)];
                bound += std::fabs(weight) * 0x1p-13;
              }
              EXPECT_NEAR(sums[static_cast<size_t>(row * kPanelColumns + column)], exact, bound)
                  << bits << " bits, " << columns << " columns";
            }
          }
        }
      }
    }
  }
}

TEST(PanelCodes, GiveOneResultByEveryInstructionSetWithFusedSums) {
  RandomStream random(2);
  for (const auto bits : kBits) {
    for (const int64_t columns : {16, 64}) {
      const RandomPanel panel(bits, columns, 320, random);
      const auto x = random_rows(6, panel.width, random);
      const auto best = product(panel, x, 6, CodeInstructions::kAvx512Vnni);
      EXPECT_EQ(best, product(panel, x, 6, CodeInstructions::kAvx2)) << bits << " bits";
    }
  }
}

/// The numbers of 16 bits of a group of one row, from their bytes.
std::vector<int> digits_of(const std::vector<float>& x, float& step, int32_t& offset) {
  std::vector<float> row(kPairInputs);
  std::copy(x.begin(), x.end(), row.begin());
  const CodedRowsOfTest coded(row, 1, kPairInputs, 8, CodedDigits::kBytes);
  std::vector<int> digits;
  for (int64_t k = 0; k < kGroupInputs; ++k) {
    digits.push_back(256 * static_cast<signed char>(coded.data[k]) +
                     static_cast<signed char>(coded.data[kPairInputs + k]));
  }
  std::memcpy(&step, coded.data + 2 * kPairInputs, sizeof(step));
  std::memcpy(&offset, coded.data + 2 * kPairInputs + 2 * sizeof(float), sizeof(offset));
  return digits;
}

TEST(PanelCodes, RoundRowsToTheNearestOfTheirStep) {
  float step = 0.0F;
  int32_t offset = 0;
  // Some 32639 steps fit into two signed bytes; what is larger takes the next power of two.
  for (const auto& [largest, wanted] : {std::pair{1.0F, 0x1p-14F},
                                        {32638.0F * 0x1p-14F, 0x1p-14F},
                                        {32640.0F * 0x1p-14F, 0x1p-13F},
                                        {-1.99999F, 0x1p-13F},
                                        {3.0e38F, 0x1p113F},
                                        {0.0F, 0x1p-100F},
                                        {1.0e-30F, 0x1p-100F}}) {
    const std::vector<float> x = {largest, largest * 0.3F, -largest * 0.7F, 0.0F};
    const auto digits = digits_of(x, step, offset);
    EXPECT_EQ(step, wanted) << largest;
    int sum = 0;
    for (size_t k = 0; k < x.size(); ++k) {
      EXPECT_EQ(digits[k], std::nearbyint(double{x[k]} / double{step})) << largest << " at " << k;
      sum += digits[k];
    }
    EXPECT_EQ(offset, -128 * sum);
  }
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    static_cast<void>(digits_of({1.0F, bad}, step, offset));
    EXPECT_TRUE(std::isnan(step));
  }
}

TEST(PanelCodes, RoundRowsOfBf16AndOfAnyLength) {
  RandomStream random(3);
  for (const int64_t count : {1, 17, 31, 32, 33, 63, 64}) {
    std::vector<float> wide(kPairInputs);
    std::vector<uint16_t> narrow;
    for (int64_t k = 0; k < count; ++k) {
      const auto bits = std::bit_cast<uint32_t>(near_normal(random)) & 0xFFFF0000U;
      wide[static_cast<size_t>(k)] = std::bit_cast<float>(bits);
      narrow.push_back(static_cast<uint16_t>(bits >> 16U));
    }
    for (const auto digits : {CodedDigits::kBytes, CodedDigits::kWords}) {
      const CodedRowsOfTest expected(wide, 1, kPairInputs, 4, digits);
      alignas(64) char row[coded_row_bytes(kPairInputs)];
      code_row({narrow.data(), true}, count, digits, 4, kPairInputs, row);
      EXPECT_EQ(std::memcmp(row, expected.data, sizeof(row)), 0) << count << " values";
    }
  }
}

}  // namespace
}  // namespace loopbank::ops
