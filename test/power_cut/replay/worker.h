// Processes that open images: one that crashes or hangs is a finding and not the end.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "hyper_lmdb/options.h"
#include "image.h"
#include "model.h"

namespace hyper_lmdb::power {

/// What opening an image, walking it, writing on, and opening it again has come to.
struct Outcome {
  enum class Kind : std::uint32_t {
    read,     ///< all went well; `state` is what was found
    unclean,  ///< open answered unclean_shutdown
    failed,   ///< anything else, with words
    died      ///< of a signal, or it hung
  };
  Kind kind = Kind::failed;
  State state{};
  char words[112] = {};
};

class Workers {
 public:
  /// Each works in a directory of its own below `directory`.
  Workers(const std::string& directory, unsigned count);
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers();

  struct Done {
    std::uint64_t job;
    Outcome outcome;
  };
  /// Stores the image and has it opened. Waits for a worker if need be; appends what got done.
  void start(std::uint64_t job, const Image& image, Durability mode, std::vector<Done>* done);
  /// Waits for those that are under way.
  void finish(std::vector<Done>* done);

 private:
  struct Worker {
    std::string directory;
    pid_t process = -1;
    int socket = -1;
    bool busy = false;
    std::uint64_t job = 0;
    unsigned jobs = 0;
  };
  void begin(Worker& worker);
  void end(Worker& worker);
  void collect(std::vector<Done>* done);

  std::vector<Worker> workers_;
};

}  // namespace hyper_lmdb::power
