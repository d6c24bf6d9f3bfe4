#pragma once
/// A folder of scores as eval/result_files.h writes it, with scores set by hand.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/support/files.h"

namespace loopbank::testing {

struct DocumentScore {
  std::string id;
  double accuracy = 0.0;
  double bpb = 0.0;
  std::optional<double> known_bits = {};
};

inline void write_scores(const std::filesystem::path& folder,
                         const std::vector<DocumentScore>& documents,
                         const std::vector<std::string>& tasks = {"facts"},
                         const std::string& requests_hash = "") {
  std::filesystem::create_directories(folder);
  nlohmann::json results = nlohmann::json::array();
  for (const auto& task : tasks) {
    std::string rows;
    for (size_t i = 0; i < documents.size(); ++i) {
      nlohmann::json metrics = {{"acc_raw", documents[i].accuracy},
                                {"bits_per_byte_corr", documents[i].bpb}};
      if (documents[i].known_bits) {
        metrics["known_bits"] = *documents[i].known_bits;
      }
      nlohmann::json row = {{"doc_id", i}, {"native_id", documents[i].id}, {"metrics", metrics}};
      if (!requests_hash.empty()) {
        row["task_hash"] = requests_hash;
      }
      rows += row.dump() + "\n";
    }
    const auto file = task + "-predictions.jsonl";
    write_file_atomically(folder / file, rows);
    results.push_back({{"task", task}, {"metric", "acc_raw"}, {"predictions", file}});
  }
  const nlohmann::json metrics = {{"results", results}, {"suites", nlohmann::json::array()}};
  write_file_atomically(folder / "metrics.json", metrics.dump());
}

}  // namespace loopbank::testing
