// The reading half of Store, which snapshots have too.
#include <utility>

#include "format/record.h"
#include "paths/path_view.h"
#include "read/listing.h"
#include "read/range.h"
#include "read/read_call.h"
#include "read/value_reader.h"
#include "store/store_impl.h"

namespace hyper_lmdb {

namespace {

Reader::Lookup find_value(const View& view, std::string_view key, ValueReader* reader) {
  auto bytes = view.find(key);
  if (!bytes) return bytes;
  return reader->read(key, bytes.value());
}

bool over_limit(const Reader::Lookup& found) noexcept {
  return !found && found.error().code == Code::work_limit;
}

/// What `use` answers of the record at a key and its stored bytes; false where there is none.
template <typename Use>
Result<bool> with_record(StoreImpl& impl, OpenSnapshot* snapshot, std::string_view key,
                         const Effort& effort, Use use) {
  if (auto good = impl.check_key(key); !good) return good.error();
  ReadCall reading(&impl.residency, effort);
  if (reading.refused()) return ReadCall::work_limit();
  auto lease = impl.lease(snapshot, effort);
  if (!lease) return lease.error();
  auto bytes = lease.value().view(impl.env->dbi()).under(&reading).find(key);
  if (!bytes) return bytes.error();
  if (!bytes.value()) return false;
  auto record = decode(*bytes.value());
  if (!record) return record.error();
  return use(record.value(), *bytes.value());
}

/// A snapshot with paths in it.
struct PathSnapshot {
  ReadPool::Lease lease;
  View store;
  PathView paths;
};
Result<PathSnapshot> path_snapshot(StoreImpl& impl, OpenSnapshot* snapshot, const Effort& effort,
                                   ReadCall* reading) {
  if (reading->refused()) return ReadCall::work_limit();
  auto lease = impl.lease(snapshot, effort);
  if (!lease) return lease.error();
  const View store = lease.value().view(impl.env->dbi()).under(reading);
  return PathSnapshot{
      std::move(lease).value(), store,
      PathView(store, &impl.links, impl.links.view(store.version()), &steady_ms, effort.lookups)};
}

/// Where a path leads that a key can hold. Errors: bad_key, key_too_large, and as PathView::locate.
Result<void> locate(PathSnapshot& snapshot, std::string_view path, PathView::Found* found) {
  PathText text;
  if (!text.assign_canonical(path, snapshot.store.max_key_bytes())) {
    return Error{.code = Code::key_too_large, .operation = "path"};
  }
  if (is_reserved_path(text.view())) return Error{.code = Code::bad_key, .operation = "path"};
  return snapshot.paths.locate(text.view(), found);
}

Reader::Lookup read_path(PathSnapshot& snapshot, std::string_view path, ValueReader* reader) {
  PathView::Found found;
  if (auto done = locate(snapshot, path, &found); !done) return done.error();
  return reader->read(found.key.view(), found.bytes);
}

/// What is at the end of a path: its type, and the key in `*key`.
Result<PathType> type_at(PathSnapshot& snapshot, std::string_view path, PathText* key) {
  PathView::Found found;
  if (auto done = locate(snapshot, path, &found); !done) return done.error();
  if (found.resolved == Resolved::dead) return PathType::not_found;
  *key = found.key;
  if (key->view().empty()) return PathType::composite;
  bool value = false;
  if (found.bytes) {
    auto record = decode(*found.bytes);
    if (!record) return record.error();
    if (record.value().group) return PathType::composite;
    value = record.value().kind == Kind::value;
  }
  auto children = has_children(snapshot.store, key->view(), snapshot.paths.lookups_left());
  if (!children) return children.error();
  if (children.value()) return PathType::composite;
  return value ? PathType::simple : PathType::not_found;
}

}  // namespace

std::size_t Reader::max_key_bytes() const noexcept {
  return impl_->max_key_bytes;
}

Result<bool> Reader::get(std::string_view key, FunctionRef<void(std::string_view)> on_value,
                         const Effort& effort) const {
  if (auto good = impl_->check_key(key); !good) return good.error();
  ReadCall reading(&impl_->residency, effort);
  if (reading.refused()) return ReadCall::work_limit();
  auto lease = impl_->lease(snapshot_, effort);
  if (!lease) return lease.error();
  ValueReader reader(impl_->settings, effort, &reading);
  auto value = find_value(lease.value().view(impl_->env->dbi()).under(&reading), key, &reader);
  if (!value) return value.error();
  if (!value.value()) return false;
  on_value(*value.value());
  return true;
}

Result<bool> Reader::exists(std::string_view key, const Effort& effort) const {
  return with_record(*impl_, snapshot_, key, effort,
                     [](const Record& record, std::string_view) -> Result<bool> {
                       return record.kind == Kind::value;
                     });
}

Result<bool> Reader::read_link(std::string_view key, FunctionRef<void(std::string_view)> on_target,
                               const Effort& effort) const {
  return with_record(*impl_, snapshot_, key, effort,
                     [&](const Record& record, std::string_view bytes) -> Result<bool> {
                       if (record.kind != Kind::link) return false;
                       if (auto intact = verify(key, bytes); !intact) return intact.error();
                       on_target(record.payload);
                       return true;
                     });
}

Result<void> Reader::read_many(std::span<const std::string_view> keys,
                               FunctionRef<bool(std::size_t, const Lookup&)> on_result,
                               const Effort& effort) const {
  ReadCall reading(&impl_->residency, effort);
  if (reading.refused()) return ReadCall::work_limit();
  auto lease = impl_->lease(snapshot_, effort);
  if (!lease) return lease.error();
  const View view = lease.value().view(impl_->env->dbi()).under(&reading);
  ValueReader reader(impl_->settings, effort, &reading);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto good = impl_->check_key(keys[i]);
    const Lookup found = good ? find_value(view, keys[i], &reader) : Lookup(good.error());
    if (over_limit(found)) return found.error();
    if (!on_result(i, found)) break;
  }
  return {};
}

Result<bool> Reader::read(std::string_view path, FunctionRef<void(std::string_view)> on_value,
                          const Effort& effort) const {
  ReadCall reading(&impl_->residency, effort);
  auto snapshot = path_snapshot(*impl_, snapshot_, effort, &reading);
  if (!snapshot) return snapshot.error();
  ValueReader reader(impl_->settings, effort, &reading);
  auto value = read_path(snapshot.value(), path, &reader);
  if (!value) return value.error();
  if (!value.value()) return false;
  on_value(*value.value());
  return true;
}

Result<void> Reader::read_many_paths(std::span<const std::string_view> paths,
                                     FunctionRef<bool(std::size_t, const Lookup&)> on_result,
                                     const Effort& effort) const {
  ReadCall reading(&impl_->residency, effort);
  auto snapshot = path_snapshot(*impl_, snapshot_, effort, &reading);
  if (!snapshot) return snapshot.error();
  ValueReader reader(impl_->settings, effort, &reading);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const Lookup found = read_path(snapshot.value(), paths[i], &reader);
    if (over_limit(found)) return found.error();
    if (!on_result(i, found)) break;
  }
  return {};
}

Result<PathType> Reader::type(std::string_view path, const Effort& effort) const {
  ReadCall reading(&impl_->residency, effort);
  auto snapshot = path_snapshot(*impl_, snapshot_, effort, &reading);
  if (!snapshot) return snapshot.error();
  PathText key;
  return type_at(snapshot.value(), path, &key);
}

Result<bool> Reader::resolve(std::string_view path, FunctionRef<void(std::string_view)> on_key,
                             const Effort& effort) const {
  ReadCall reading(&impl_->residency, effort);
  auto snapshot = path_snapshot(*impl_, snapshot_, effort, &reading);
  if (!snapshot) return snapshot.error();
  PathText key;
  auto type = type_at(snapshot.value(), path, &key);
  if (!type) return type.error();
  if (type.value() == PathType::not_found) return false;
  on_key(key.view());
  return true;
}

Result<bool> Reader::list(std::string_view path, const Page& page,
                          FunctionRef<bool(std::string_view)> on_name, const Effort& effort) const {
  ReadCall reading(&impl_->residency, {});
  auto snapshot = path_snapshot(*impl_, snapshot_, {.turn_ms = effort.turn_ms}, &reading);
  if (!snapshot) return snapshot.error();
  PathText key;
  auto type = type_at(snapshot.value(), path, &key);
  if (!type) return type.error();
  if (type.value() != PathType::composite) return false;
  auto listed = list_children(snapshot.value().store, key.view(), page, on_name);
  if (!listed) return listed.error();
  return true;
}

Result<void> Reader::list_prefix(std::string_view prefix, const Page& page,
                                 FunctionRef<bool(std::string_view)> on_key,
                                 const Effort& effort) const {
  ReadCall reading(&impl_->residency, {});
  auto lease = impl_->lease(snapshot_, {.turn_ms = effort.turn_ms});
  if (!lease) return lease.error();
  return list_keys(lease.value().view(impl_->env->dbi()), prefix, page, on_key);
}

Result<std::optional<std::string>> Reader::range(
    const Range& range, FunctionRef<bool(std::string_view, std::string_view)> on_entry,
    const Effort& effort) const {
  ReadCall reading(&impl_->residency, effort);
  if (reading.refused()) return ReadCall::work_limit();
  auto lease = impl_->lease(snapshot_, effort);
  if (!lease) return lease.error();
  ValueReader reader(impl_->settings, effort, &reading);
  bool first = true;
  return walk_range(lease.value().view(impl_->env->dbi()).under(&reading), range, Walked::values,
                    effort, [&](std::string_view key, std::string_view bytes) -> Result<bool> {
                      if (range.keys_only) return on_entry(key, {});
                      auto value = reader.read(key, bytes);
                      if (over_limit(value) && !first) return false;
                      if (!value) return value.error();
                      first = false;
                      return on_entry(key, *value.value());
                    });
}

Result<std::optional<std::string>> Reader::records(const Range& range,
                                                   FunctionRef<bool(const Entry&)> on_entry,
                                                   const Effort& effort) const {
  ReadCall reading(&impl_->residency, effort);
  if (reading.refused()) return ReadCall::work_limit();
  auto lease = impl_->lease(snapshot_, effort);
  if (!lease) return lease.error();
  ValueReader reader(impl_->settings, effort, &reading);
  bool first = true;
  return walk_range(lease.value().view(impl_->env->dbi()).under(&reading), range, Walked::records,
                    effort, [&](std::string_view key, std::string_view bytes) -> Result<bool> {
                      if (range.keys_only) return on_entry({.key = key});
                      auto record = decode(bytes);
                      if (!record) return record.error();
                      Entry entry{.key = key, .marked = record.value().group};
                      if (record.value().kind == Kind::value) {
                        auto value = reader.read(key, bytes);
                        if (over_limit(value) && !first) return false;
                        if (!value) return value.error();
                        entry.value = *value.value();
                      } else {
                        if (auto intact = verify(key, bytes); !intact) return intact.error();
                        if (record.value().kind == Kind::link)
                          entry.target = record.value().payload;
                      }
                      first = false;
                      return on_entry(entry);
                    });
}

}  // namespace hyper_lmdb
