// The share of the VM's dirty IO schedulers that reads of cold stores may have. Files are read
// there too: all of them taken, nothing in the VM reads a file before the disk has answered.
#pragma once

#include <erl_nif.h>

#include "calls.h"
#include "hyper_lmdb/store.h"

namespace hyper_lmdb::nif {

/// Held by a read while it may wait for the disk. One that is not granted a turn answers `busy`,
/// and its caller comes again in a while.
///
/// Thread-safety: any thread. The counter publishes nothing, so its order is relaxed; it is never
/// above the share for those it was granted to, since each adds itself before it looks.
class DiskTurn {
 public:
  /// On the thread that reads. Only a cold store's reads on a dirty IO scheduler are counted.
  explicit DiskTurn(const Store& store) noexcept;
  DiskTurn(const DiskTurn&) = delete;
  DiskTurn& operator=(const DiskTurn&) = delete;
  ~DiskTurn();

  bool granted() const noexcept { return granted_; }
  /// Whether a read that is about to go to a dirty IO scheduler would hardly be granted one.
  static bool hopeless(const Store& store) noexcept;

  /// Once, before the first read.
  static void set_schedulers(int dirty_io) noexcept;

 private:
  bool counted_ = false;
  bool granted_ = true;
};

/// A read that was over its limit goes on where there is more time; it is `busy` where that is
/// known to be hopeless.
ERL_NIF_TERM go_elsewhere(ErlNifEnv* env, const Store& store, const Error& over, Call elsewhere,
                          int argc, const ERL_NIF_TERM argv[]);

}  // namespace hyper_lmdb::nif
