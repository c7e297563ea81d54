#include "core_store.h"

#include <cstdio>
#include <stdexcept>
#include <vector>

namespace hyper_lmdb::bench {

std::shared_ptr<Store> open_store(const Options& options) {
  auto opened = Store::open(options);
  if (!opened.ok()) {
    throw std::runtime_error("open " + options.directory + ": " + name_of(opened.error().code));
  }
  return opened.value();
}

CoreStore::CoreStore(const std::string& directory, Durability durability) {
  options_.directory = directory;
  options_.durability = durability;
  store_ = open_store(options_);
}

CoreStore::~CoreStore() {
  if (store_ == nullptr) return;
  const auto closed = store_->close();
  if (!closed.ok()) std::fprintf(stderr, "close: %s\n", name_of(closed.error().code));
}

void CoreStore::settle() {
  const auto closed = store_->close();
  store_.reset();
  if (!closed.ok()) throw std::runtime_error(std::string("close: ") + name_of(closed.error().code));
  store_ = open_store(options_);
}

void CoreStore::settle(const Entry& entry) {
  settle();
  const auto written = store_->put(entry.key, entry.value);
  if (!written.ok()) throw std::runtime_error(name_of(written.error().code));
}

void load(CoreStore& opened, const Dataset& data) {
  std::vector<Op> ops;
  for_each_load_batch(data, [&](std::span<const Entry> entries) {
    ops.clear();
    for (const Entry& entry : entries) ops.push_back({OpKind::put, entry.key, entry.value});
    const auto written = opened.store().batch_write(ops);
    if (!written.ok()) throw std::runtime_error(name_of(written.error().code));
  });
  opened.settle();
}

}  // namespace hyper_lmdb::bench
