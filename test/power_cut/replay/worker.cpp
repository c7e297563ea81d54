#include "worker.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <stdexcept>

#include "open_image.h"

namespace hyper_lmdb::power {

namespace {

constexpr unsigned kMostJobs = 400;    // of one process
constexpr unsigned kMostSeconds = 30;  // of one image

[[noreturn]] void serve(int socket, const std::string& directory) {
  std::uint32_t mode = 0;
  while (::read(socket, &mode, sizeof mode) == sizeof mode) {
    ::alarm(kMostSeconds);
    const Outcome outcome = open_image(directory, static_cast<Durability>(mode));
    ::alarm(0);
    if (::write(socket, &outcome, sizeof outcome) != sizeof outcome) break;
  }
  ::_exit(0);
}

}  // namespace

Workers::Workers(const std::string& directory, unsigned count) : workers_(count) {
  for (unsigned i = 0; i < count; ++i) {
    workers_[i].directory = directory + "/image" + std::to_string(i);
  }
}

Workers::~Workers() {
  for (Worker& worker : workers_) end(worker);
}

void Workers::begin(Worker& worker) {
  if (worker.process >= 0 && worker.jobs < kMostJobs) return;
  end(worker);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    throw std::runtime_error("socketpair");
  }
  std::fflush(nullptr);
  worker.process = ::fork();
  if (worker.process < 0) throw std::runtime_error("fork");
  if (worker.process == 0) {
    ::close(ends[0]);
    // Another worker's socket kept open here would keep it from seeing that it is to end.
    for (const Worker& other : workers_) {
      if (other.socket >= 0) ::close(other.socket);
    }
    serve(ends[1], worker.directory);
  }
  ::close(ends[1]);
  worker.socket = ends[0];
  worker.jobs = 0;
}

void Workers::end(Worker& worker) {
  if (worker.process < 0) return;
  ::close(worker.socket);
  int status = 0;
  while (::waitpid(worker.process, &status, 0) < 0 && errno == EINTR) {
  }
  worker.process = -1;
  worker.socket = -1;
  worker.busy = false;
}

void Workers::start(std::uint64_t job, const Image& image, Durability mode,
                    std::vector<Done>* done) {
  for (;;) {
    for (Worker& worker : workers_) {
      if (worker.busy) continue;
      begin(worker);
      store(image, worker.directory);
      const auto word = static_cast<std::uint32_t>(mode);
      if (::write(worker.socket, &word, sizeof word) != sizeof word) {
        throw std::runtime_error("a worker is gone");
      }
      worker.busy = true;
      worker.job = job;
      ++worker.jobs;
      return;
    }
    collect(done);
  }
}

void Workers::finish(std::vector<Done>* done) {
  const auto busy = [&] {
    for (const Worker& worker : workers_) {
      if (worker.busy) return true;
    }
    return false;
  };
  while (busy()) collect(done);
}

/// Waits until at least one is done.
void Workers::collect(std::vector<Done>* done) {
  std::vector<pollfd> sockets;
  for (const Worker& worker : workers_) {
    sockets.push_back({.fd = worker.busy ? worker.socket : -1, .events = POLLIN, .revents = 0});
  }
  if (::poll(sockets.data(), sockets.size(), -1) < 0 && errno != EINTR) {
    throw std::runtime_error("poll");
  }
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    if (sockets[i].revents == 0) continue;
    Worker& worker = workers_[i];
    Outcome outcome;
    if (::read(worker.socket, &outcome, sizeof outcome) != sizeof outcome) {
      int status = 0;
      while (::waitpid(worker.process, &status, 0) < 0 && errno == EINTR) {
      }
      outcome = {.kind = Outcome::Kind::died, .state = {}, .words = {}};
      std::snprintf(outcome.words, sizeof outcome.words, "signal %d",
                    WIFSIGNALED(status) ? WTERMSIG(status) : 0);
      ::close(worker.socket);
      worker.process = -1;
      worker.socket = -1;
    }
    worker.busy = false;
    done->push_back({worker.job, outcome});
  }
}

}  // namespace hyper_lmdb::power
