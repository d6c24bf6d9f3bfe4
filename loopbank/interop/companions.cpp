#include "loopbank/interop/companions.h"

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"

namespace loopbank {

std::vector<std::string> copy_companions(const std::filesystem::path& from,
                                         const std::filesystem::path& to) {
  std::vector<std::string> copied;
  for (const char* name : kCompanions) {
    if (std::filesystem::exists(from / name) && !std::filesystem::exists(to / name)) {
      write_file_atomically(to / name, read_file(from / name), ErrorCode::kCheckpoint);
      copied.emplace_back(name);
    }
  }
  return copied;
}

}  // namespace loopbank
