#include "store/registry.h"

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

#include "hyper_lmdb/process_state.h"
#include "lmdb/map_size.h"

namespace hyper_lmdb::registry {

struct Table {
  std::mutex mutex;
  std::condition_variable changed;
  // Null while the store is being opened or closed. Holding the store here is what keeps it open
  // when no caller refers to it.
  std::map<std::pair<dev_t, ino_t>, StorePtr> stores;
};

namespace {

// Never destroyed: threads may still run while the process exits.
std::atomic<ProcessState*> adopted_state{nullptr};

ProcessState& state() {
  static ProcessState* const own = new ProcessState{new Table, mapped_bytes()};
  ProcessState* const adopted = adopted_state.load(std::memory_order_acquire);
  return adopted != nullptr ? *adopted : *own;
}

Table& table() {
  return *state().stores;
}

auto key_of(const DirectoryId& id) {
  return std::pair(id.device, id.inode);
}

}  // namespace

Result<StorePtr> find_or_open(const DirectoryId& id, FunctionRef<Result<StorePtr>()> open_store,
                              bool* was_open) {
  Table& all = table();
  {
    std::unique_lock lock(all.mutex);
    for (;;) {
      const auto [entry, inserted] = all.stores.try_emplace(key_of(id));
      *was_open = !inserted;
      if (inserted) break;
      if (entry->second != nullptr) return entry->second;
      all.changed.wait(lock);
    }
  }
  // Whatever happens, those who wait for this opening are let go.
  struct Outcome {
    Table& all;
    const DirectoryId& id;
    StorePtr store;
    ~Outcome() {
      const std::lock_guard lock(all.mutex);
      if (store != nullptr) {
        all.stores[key_of(id)] = store;  // the entry is there: nothing is allocated
      } else {
        all.stores.erase(key_of(id));
      }
      all.changed.notify_all();
    }
  } outcome{all, id, nullptr};
  Result<StorePtr> opened = open_store();
  if (opened) outcome.store = opened.value();
  return opened;
}

void closing(const DirectoryId& id) {
  const std::lock_guard lock(table().mutex);
  table().stores[key_of(id)] = nullptr;
}

void closed(const DirectoryId& id) {
  const std::lock_guard lock(table().mutex);
  table().stores.erase(key_of(id));
  table().changed.notify_all();
}

}  // namespace hyper_lmdb::registry

namespace hyper_lmdb {

void* process_state() noexcept {
  return &registry::state();
}

void adopt_process_state(void* state) noexcept {
  auto* const shared = static_cast<registry::ProcessState*>(state);
  use_mapped_bytes(shared->mapped_bytes);
  registry::adopted_state.store(shared, std::memory_order_release);
}

}  // namespace hyper_lmdb
