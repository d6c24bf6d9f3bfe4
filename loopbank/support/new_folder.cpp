#include "loopbank/support/new_folder.h"

#include "loopbank/support/error.h"

namespace loopbank {

std::filesystem::path expect_new_folder(const std::filesystem::path& out) {
  namespace fs = std::filesystem;
  if (out.empty()) {
    fail(ErrorCode::kConfig, "--out: expected a new or empty folder, got an empty name.");
  }
  auto folder = (out / "").parent_path();
  if (fs::exists(folder) && !(fs::is_directory(folder) && fs::is_empty(folder))) {
    fail(ErrorCode::kConfig, "--out: expected a new or empty folder, got {}, which {}.",
         folder.string(), fs::is_directory(folder) ? "holds files" : "is no folder");
  }
  return folder;
}

}  // namespace loopbank
