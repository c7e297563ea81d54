#include "write/batch_rules.h"

#include <unordered_map>

#include "format/compression.h"
#include "format/path.h"
#include "format/record.h"
#include "format/scratch.h"
#include "os/errors.h"
#include "os/key_hash.h"
#include "read/read_call.h"

namespace hyper_lmdb {

namespace {

/// The stored bytes at a key, where they hold a present record.
Result<Bytes> present_bytes(const View& view, std::string_view key) {
  auto found = view.find(key);
  if (!found || !found.value()) return found;
  auto record = decode(*found.value());
  if (!record) return record.error();
  return is_present(record.value()) ? found : Result<Bytes>(Bytes());
}

bool too_long(const View& view, std::string_view bytes) noexcept {
  return view.reading() != nullptr && !view.reading()->allows_bytes(bytes.size());
}

Result<bool> holds_value(std::string_view key, std::string_view bytes, std::string_view value) {
  if (auto intact = verify(key, bytes); !intact) return intact.error();
  const Record record = decode(bytes).value();
  if (record.kind != Kind::value || value_size(record) != value.size()) return false;
  if (record.codec == Compression::none) return record.payload == value;
  // No more memory than the caller took for what to compare it with.
  Scratch scratch;
  char* const raw = scratch.room(value.size());
  if (auto done = unpack(record, raw); !done) return done.error();
  return std::string_view(raw, value.size()) == value;
}

Result<bool> check_against_store(const View& view, const Op& op) {
  auto found = present_bytes(view, op.key);
  if (!found) return found.error();
  if (op.kind == OpKind::check_absent) return !found.value().has_value();
  if (!found.value()) return false;
  if (too_long(view, *found.value())) return ReadCall::work_limit();
  return holds_value(op.key, *found.value(), op.value);
}

/// The check beside the last element before it that changed the key.
bool check_against_op(const Op& earlier, const Op& op) noexcept {
  if (op.kind == OpKind::check_absent) return earlier.kind == OpKind::remove;
  return earlier.kind == OpKind::put && earlier.value == op.value;
}

bool is_check(const Op& op) noexcept {
  return op.kind == OpKind::check_value || op.kind == OpKind::check_absent;
}

Error leads_nowhere(std::size_t index) noexcept {
  return {.code = Code::bad_key, .operation = "resolve", .index = index + 1};
}

bool takes_mark(const Record& record) noexcept {
  return record.kind != Kind::link && !record.group;
}

/// What a key holds before an element of the batch. A record that does not decode is one that is
/// replaced all the same: that is how a user repairs it. A mark on one is refused, as on one whose
/// checksum fails: written anew it would get one that holds.
Result<Record> look_before(const View& view, const Links& links, const Op& op,
                           std::string_view key) {
  if (op.kind != OpKind::group && links.values_only()) return Record();
  auto bytes = view.find(key);
  if (!bytes) return bytes.error();
  if (!bytes.value()) return Record();
  auto record = decode(*bytes.value());
  if (op.kind != OpKind::group) return record ? record : Result<Record>(Record());
  if (record && takes_mark(record.value())) {
    if (too_long(view, *bytes.value())) return ReadCall::work_limit();
    if (auto intact = verify(key, *bytes.value()); !intact) return intact.error();
  }
  return record;
}

Result<void> decide_one(const View& view, Links* links, bool checksum, const Op& op,
                        std::string_view key, PendingBatch* pending_batch) {
  if (is_check(op)) return {};
  auto before = look_before(view, *links, op, key);
  if (!before) return before.error();
  const Record& old = before.value();
  const bool was_link = old.kind == Kind::link;
  const bool nothing = old.kind == Kind::none && !old.group;
  if (nothing && op.kind != OpKind::remove) links->appears(key);
  switch (op.kind) {
    case OpKind::put:
      if (was_link) links->change(key, -1);
      pending_batch->add(key, record_of(op, old.group, checksum));
      break;
    case OpKind::link: {
      PathText target;
      if (!target.assign_canonical(op.value, view.max_key_bytes())) {
        return Error{.code = Code::key_too_large, .operation = "link"};
      }
      links->change(key, was_link ? 0 : +1);
      pending_batch->add(
          key,
          {.kind = Kind::link, .group = old.group, .checksum = checksum, .payload = target.view()});
      break;
    }
    case OpKind::group: {
      if (!takes_mark(old)) break;
      links->change_mark(+1);
      // The payload may lie in the pending_batch, which is about to grow.
      const std::string payload(old.payload);
      Record marked = old;
      marked.group = true;
      marked.payload = payload;
      pending_batch->add(key, marked);
      break;
    }
    case OpKind::remove:
      if (was_link) links->change(key, -1);
      if (old.group) links->change_mark(-1);
      pending_batch->add_removal(key);
      break;
    case OpKind::check_value:
    case OpKind::check_absent:
      break;
  }
  return {};
}

}  // namespace

Result<void> evaluate_checks(const View& view, std::span<const Op> ops) {
  std::size_t end = ops.size();
  while (end > 0 && !is_check(ops[end - 1])) --end;
  if (end == 0) return {};
  // The last change of a key so far.
  std::unordered_map<std::string_view, const Op*, KeyHash> earlier;
  for (std::size_t i = 0; i < end; ++i) {
    const Op& op = ops[i];
    if (!is_check(op)) {
      // A mark changes nothing that a check looks at.
      if (op.kind != OpKind::group) earlier[op.key] = &op;
      continue;
    }
    Result<bool> holds = false;
    if (const auto seen = earlier.find(op.key); seen != earlier.end()) {
      holds = check_against_op(*seen->second, op);
    } else {
      holds = check_against_store(view, op);
    }
    if (!holds) return holds.error();
    if (!holds.value()) {
      return Error{.code = Code::check_failed, .operation = "batch_write", .index = i + 1};
    }
  }
  return {};
}

bool goes_straight(const Links& links, std::span<const Op> ops) noexcept {
  bool paths = false;
  bool links_on_way = links.may_exist();
  for (const Op& op : ops) {
    links_on_way = links_on_way || op.kind == OpKind::link;
    paths = paths || (op.is_path && (links_on_way || !is_canonical_path(op.key)));
  }
  return !paths;
}

std::uint64_t lookups_for_paths(const View& view) noexcept {
  return view.reading() != nullptr ? view.reading()->most_lookups() : kNoLimit;
}

Result<PathText> target_of(const View& view, Links* links, Clock clock, std::span<const Op> ops,
                           std::size_t index, std::uint64_t* lookups_left) {
  PathView paths(view, links, links->view_of_writer(), clock, *lookups_left);
  PathText written;
  PathText target;
  if (!written.assign_canonical(ops[index].key, view.max_key_bytes())) return leads_nowhere(index);
  auto resolved = paths.locate_for_write(written.view(), &target);
  *lookups_left = paths.lookups_left();
  if (!resolved) return resolved.error();
  if (resolved.value() == Resolved::dead || target.view().empty() ||
      is_reserved_path(target.view())) {
    return leads_nowhere(index);
  }
  return target;
}

bool looks_at_store(const Links& links, std::span<const Op> ops) noexcept {
  if (!links.values_only()) return true;
  for (const Op& op : ops) {
    // A link or a mark that an element makes may matter to the next.
    if (op.kind == OpKind::put || op.kind == OpKind::remove) {
      if (!op.is_path || is_canonical_path(op.key)) continue;
    }
    return true;
  }
  return false;
}

Result<void> decide(const View& view, Links* links, Clock clock, bool checksum,
                    std::span<const Op> ops, PendingBatch* pending_batch) {
  std::uint64_t bytes = 1;
  for (const Op& op : ops) bytes += bytes_of(op) - op.value.size() + stored_value(op).size();
  pending_batch->begin(ops.size() > 1 && looks_at_store(*links, ops), bytes);
  const View seen = view.over(pending_batch);
  const bool straight = goes_straight(*links, ops);
  std::uint64_t lookups_left = lookups_for_paths(seen);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    PathText path;
    std::string_view key = ops[i].key;
    if (ops[i].is_path && !straight) {
      auto target = target_of(seen, links, clock, ops, i, &lookups_left);
      if (!target) return target.error();
      path = target.value();
      key = path.view();
    }
    if (auto done = decide_one(seen, links, checksum, ops[i], key, pending_batch); !done)
      return done;
  }
  if (links->counts_changed()) pending_batch->add_counts(links->to_store());
  return {};
}

}  // namespace hyper_lmdb
