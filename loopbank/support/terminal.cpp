#include "loopbank/support/terminal.h"

#include <sys/ioctl.h>

namespace loopbank {

TerminalSize terminal_size(std::FILE* out) {
  winsize size{};
  TerminalSize found;
  if (::ioctl(::fileno(out), TIOCGWINSZ, &size) == 0) {
    found.rows = size.ws_row > 0 ? size.ws_row : found.rows;
    found.columns = size.ws_col > 0 ? size.ws_col : found.columns;
  }
  return found;
}

}  // namespace loopbank
