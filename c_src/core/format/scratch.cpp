#include "format/scratch.h"

#include <utility>

#include "os/per_thread.h"

namespace hyper_lmdb {

namespace {

struct Kept {
  std::unique_ptr<char[]> memory;  // of kKeptBytes; none while a Scratch has it
};

}  // namespace

char* Scratch::room(std::size_t bytes) {
  if (bytes <= bytes_) return memory_.get();
  if (bytes <= kKeptBytes) {
    memory_ = std::move(per_thread<Kept>().memory);
    bytes = kKeptBytes;
  } else {
    memory_.reset();
  }
  bytes_ = 0;
  if (memory_ == nullptr) memory_ = std::make_unique_for_overwrite<char[]>(bytes);
  bytes_ = bytes;
  return memory_.get();
}

Scratch::~Scratch() {
  // The thread has been asked before, so that it has a place for it.
  if (bytes_ == kKeptBytes) per_thread<Kept>().memory = std::move(memory_);
}

}  // namespace hyper_lmdb
