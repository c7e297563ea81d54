// Runs a piece of a test in a forked child: limits, mounts and signals stay there.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <string>
#include <system_error>

#include "hyper_lmdb/function_ref.h"

namespace hyper_lmdb::test {

/// Exit code of a child that cannot do its part here, for example without privileges.
inline constexpr int kSkipped = 77;

/// Forks, runs `body` in the child and exits with what it returns. Only for a process that has no
/// thread but this one. Without leak check, as the child leaves what the parent owns behind.
inline pid_t start_child(FunctionRef<int()> body) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child > 0) return child;
  int code = 70;
  try {
    code = body();
  } catch (const std::exception& thrown) {
    std::fprintf(stderr, "child: %s\n", thrown.what());
  }
  std::fflush(nullptr);
  ::_exit(code);
}

/// How a child ended: "exit 0", "signal 7".
inline std::string wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "waitpid");
  }
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "exit " + std::to_string(WEXITSTATUS(status));
}

inline std::string run_child(FunctionRef<int()> body) {
  return wait_for(start_child(body));
}

/// For use inside a child, where the test framework's own macros report to nobody.
#define CHILD_REQUIRE(condition)                                                           \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      std::fprintf(stderr, "%s:%d: child required: %s\n", __FILE__, __LINE__, #condition); \
      return 1;                                                                            \
    }                                                                                      \
  } while (false)

#define CHILD_EQUAL(found, wanted)                                                          \
  do {                                                                                      \
    if (const std::string is = (found), should = (wanted); is != should) {                  \
      std::fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #found, \
                   is.c_str(), should.c_str());                                             \
      return 1;                                                                             \
    }                                                                                       \
  } while (false)

}  // namespace hyper_lmdb::test
