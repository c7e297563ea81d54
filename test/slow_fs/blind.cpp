// To be preloaded: no thread ever seems to have waited for the disk. Shows what the store's readers
// do without that knowledge.
#include <dlfcn.h>
#include <sys/resource.h>

extern "C" int getrusage(__rusage_who_t who, struct rusage* usage) noexcept {
  static const auto real =
      reinterpret_cast<int (*)(__rusage_who_t, struct rusage*)>(dlsym(RTLD_NEXT, "getrusage"));
  const int done = real(who, usage);
  usage->ru_majflt = 0;
  return done;
}
