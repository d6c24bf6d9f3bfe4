#include "processes.h"

#include <ATen/Parallel.h>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <stdexcept>

#include "loopbank/ranks/free_port.h"
#include "loopbank/support/error.h"

namespace loopbank::testing {
namespace {

struct Process {
  pid_t id = 0;
  int answer = -1;  // the end of a pipe
};

/// Returns when rank 0 serves its store: c10d would look again only after a second.
void wait_for_store(int64_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  for (int tries = 0; tries < 500; ++tries) {
    const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    const bool is_there =
        connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    close(descriptor);
    if (is_there) {
      return;
    }
    usleep(10'000);
  }
}

std::string answer_of(const RankPlace& place, double timeout_seconds,
                      const std::function<std::string(const Ranks&)>& body) {
  try {
    at::set_num_threads(1);
    if (place.rank > 0) {
      wait_for_store(place.master_port);
    }
    return body(Ranks::join(place, at::kCPU, {.timeout_seconds = timeout_seconds}));
  } catch (const Error& error) {
    return fmt::format("error {}: {}", exit_status(error.code()), error.what());
  } catch (const std::exception& error) {
    return fmt::format("error 1: {}", error.what());
  }
}

Process start(const RankPlace& place, double timeout_seconds,
              const std::function<std::string(const Ranks&)>& body) {
  int ends[2] = {-1, -1};
  if (pipe(ends) != 0) {
    throw std::runtime_error("pipe");
  }
  const pid_t id = fork();
  if (id == 0) {
    close(ends[0]);
    const auto text = answer_of(place, timeout_seconds, body);
    size_t written = 0;
    while (written < text.size()) {
      const auto more = write(ends[1], text.data() + written, text.size() - written);
      if (more <= 0) {
        _exit(1);
      }
      written += static_cast<size_t>(more);
    }
    _exit(0);
  }
  close(ends[1]);
  return {id, ends[0]};
}

std::string read_to_end(int descriptor) {
  std::string text;
  char buffer[4096];
  for (ssize_t count = 0; (count = read(descriptor, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<size_t>(count));
  }
  close(descriptor);
  return text;
}

}  // namespace

std::vector<std::string> run_ranks(int64_t count,
                                   const std::function<std::string(const Ranks&)>& body,
                                   double timeout_seconds) {
  RankPlace place{
      .size = count, .master_address = "127.0.0.1", .master_port = free_port(), .launcher = {}};
  std::vector<Process> processes;
  for (; place.rank < count; ++place.rank) {
    place.local_rank = place.rank;
    processes.push_back(start(place, timeout_seconds, body));
  }
  std::vector<std::string> answers;
  for (const auto& process : processes) {
    answers.push_back(read_to_end(process.answer));
    int status = 0;
    waitpid(process.id, &status, 0);
  }
  return answers;
}

}  // namespace loopbank::testing
