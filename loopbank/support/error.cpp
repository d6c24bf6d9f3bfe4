#include "loopbank/support/error.h"

namespace loopbank {

int exit_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kConfig:
      return 2;
    case ErrorCode::kShape:
    case ErrorCode::kDtype:
      return 3;
    case ErrorCode::kData:
      return 4;
    case ErrorCode::kCheckpoint:
      return 5;
    case ErrorCode::kDevice:
      return 6;
    case ErrorCode::kRanks:
      return 7;
  }
  return 1;
}

}  // namespace loopbank
