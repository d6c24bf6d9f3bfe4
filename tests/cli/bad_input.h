#pragma once
/// A table of mistakes: what is spoiled, what is run, and what the one error line must hold.

#include <filesystem>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace loopbank::testing {

struct BadInput {
  std::string name;
  std::vector<std::string> arguments;  ///< paths relative to the fixture's directory
  int status = 0;                      ///< exit status; see support/error.h
  std::vector<std::string> fragments;  ///< each a part of the error line
  /// Spoils the fixture before the program runs; may be empty.
  std::function<void(const std::filesystem::path&)> spoil = {};
  std::string input = {};  ///< on stdin
};

inline std::ostream& operator<<(std::ostream& out, const BadInput& item) {
  return out << item.name;
}

/// Runs one row on a fresh fixture (fixtures.h) and expects: the exit status; nothing on stdout;
/// one line on stderr that starts with "error: " and holds every fragment.
void expect_refused(const BadInput& item);

/// The same beside a model, in `model`.
void expect_refused_beside_model(BadInput item);

}  // namespace loopbank::testing
