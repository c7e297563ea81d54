// System calls that fail, each in its turn, once and from then on: no crash, the right word, and
// nothing that was acknowledged is lost.
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "hyper_lmdb/store.h"
#include "support/child.h"
#include "support/faults.h"
#include "support/ops.h"
#include "support/test_store.h"

using namespace hyper_lmdb;
using namespace hyper_lmdb::test;
namespace fs = std::filesystem;

namespace {

std::string get_in(const Snapshot& snapshot, std::string_view key) {
  std::string value;
  const auto found = snapshot.get(key, [&](std::string_view bytes) { value = bytes; });
  if (!found) return outcome(found);
  return found.value() ? value : "nothing";
}

struct Fault {
  const char* name;
  int error;  // 0: cut short
  std::set<std::string> words;
};

const std::vector<Fault>& all_faults() {
  static const std::vector<Fault> all{
      {"EIO", EIO, {"io_error"}},
      {"ENOSPC", ENOSPC, {"disk_full"}},
      {"EDQUOT", EDQUOT, {"quota_exceeded"}},
      {"EFBIG", EFBIG, {"file_too_large"}},
      {"cut short", 0, {"io_error", "disk_full"}},
  };
  return all;
}

/// What a key holds, and what is found through a link or as a path's type where it says so.
std::string look(const Store& store, const std::string& what) {
  if (what == "type of group") {
    const auto type = store.type("group");
    return type ? (type.value() == PathType::composite ? "group" : "nothing") : outcome(type);
  }
  if (!what.starts_with("through ")) return get(store, what);
  std::string value;
  const auto found =
      store.read(what.substr(what.find(' ') + 1), [&](std::string_view bytes) { value = bytes; });
  if (!found) return outcome(found);
  return found.value() ? value : "nothing";
}

/// What a look may find, as far as the answers tell.
using Allowed = std::map<std::string, std::set<std::string>>;

struct Run {
  Allowed allowed;
  std::set<std::string> words;  // of everything that failed
  bool opened = false;
  bool flush_failed = false;
};

void note(Run& run, const std::string& word) {
  if (word != "ok") run.words.insert(word);
}

/// After an answer each look finds the new value, the old ones, or either.
void settle(Run& run, const std::string& word, const std::vector<std::string>& looks,
            const std::string& value) {
  note(run, word);
  for (const std::string& what : looks) {
    std::set<std::string>& values = run.allowed[what];
    if (values.empty()) values.insert("nothing");
    if (word == "ok") values = {value};
    if (word == "io_error") values.insert(value);
  }
}

Op at_path(Op op) {
  op.is_path = true;
  return op;
}

/// A fixed script of writes, of one record, of several, of a value with pages of its own, of a link
/// and what is written through it, of a mark, and of removals; where a write is not flushed by
/// itself, with flushes in between.
Run play(const Options& options, Allowed allowed) {
  Run run{.allowed = std::move(allowed), .words = {}};
  auto opened = Store::open(options);
  note(run, outcome(opened));
  if (!opened) return run;
  run.opened = true;
  Store& store = *opened.value();
  for (int i = 0; i < 4; ++i) {
    const std::string value = std::to_string(i) + std::string(i == 1 ? 20'000 : 10, 'v');
    const std::string own = "own " + std::to_string(i);
    const std::vector<Op> ops{put_op("shared", value), put_op(own, value), put_op("z", value)};
    settle(run, outcome(store.batch_write(ops)), {"shared", own, "z"}, value);
    settle(run, outcome(store.remove("z")), {"z"}, "nothing");
    // The only link: a store that takes it for gone, or for never made, does not look for it.
    const std::string target = "target " + std::to_string(i);
    const std::string linked = outcome(
        store.batch_write(std::vector<Op>{put_op(target + "/x", value), link_op(target, "link")}));
    settle(run, linked, {"through link/x"}, value);
    settle(run, linked, {"through link/y"}, "nothing");
    if (linked == "ok") {
      const auto through = std::vector<Op>{at_path(put_op("link/y", value))};
      settle(run, outcome(store.batch_write(through)), {"through link/y"}, value);
    }
    if (i % 2 == 0) {
      settle(run, outcome(store.remove("link")), {"through link/x", "through link/y"}, "nothing");
    }
    const auto group = std::vector<Op>{at_path(group_op("group"))};
    settle(run, outcome(store.batch_write(group)), {"type of group"}, "group");
    settle(run, outcome(store.remove("group")), {"type of group"}, "nothing");
    if (options.durability != Durability::sync && i % 2 == 1) {
      const std::string word = outcome(store.sync());
      run.flush_failed = run.flush_failed || word != "ok";
      note(run, word);
    }
    // What is there can be read, unless LMDB itself gave up.
    for (const auto& [what, values] : run.allowed) {
      const std::string found = look(store, what);
      if (found == "env_failed" || values.count(found) == 1) continue;
      run.words.insert("wrong: " + what + " is " + found.substr(0, 20));
    }
  }
  const std::string word = outcome(store.close());
  run.flush_failed = run.flush_failed || word == "io_error" || word == "env_failed";
  note(run, word);
  return run;
}

/// What is wrong with the store now.
std::string verify(const Options& options, const Run& run) {
  auto opened = Store::open(options);
  if (!opened) {
    const std::string word = outcome(opened);
    // A flush that failed in map_async may have lost anything: the store says so.
    if (word == "unclean_shutdown" && run.flush_failed) return "";
    return "reopen: " + word;
  }
  Store& store = *opened.value();
  std::string wrong;
  for (const auto& [what, values] : run.allowed) {
    const std::string found = look(store, what);
    if (values.count(found) == 0) wrong += what + " is " + found.substr(0, 20) + "; ";
  }
  if (const auto word = outcome(store.put("after", "v")); word != "ok") wrong += "put: " + word;
  if (const auto word = outcome(store.close()); word != "ok") wrong += "close: " + word;
  return wrong;
}

/// One run with one fault, in a directory made for it; what is wrong.
std::string with_fault(Durability mode, const faults::Plan& plan, const Fault& fault,
                       bool* has_failed) {
  const TempDir temp(memory_directory());
  const Options options = options_for(temp / "store", mode);
  StorePtr store = must_open(options);
  must(store->put("shared", "before"));
  must(store->put("kept", "before"));
  must(store->close());
  store.reset();
  const std::size_t descriptors = open_descriptors();

  faults::Plan here = plan;
  here.directory = temp.path();
  faults::arm(here);
  const Run run = play(options, {{"shared", {"before"}}, {"kept", {"before"}}});
  *has_failed = faults::has_failed();
  faults::disarm();

  std::string wrong = verify(options, run);
  for (const std::string& word : run.words) {
    if (word == "env_failed" || fault.words.count(word) == 1) continue;
    // A flush of the journal that fails is io_error, whatever the kernel calls it.
    if (mode != Durability::map_async && word == "io_error") continue;
    wrong += "answered " + word + "; ";
  }
  if (open_descriptors() != descriptors) wrong += "descriptors stay open";
  return wrong;
}

void sweep(Durability mode, std::uint32_t calls) {
  for (const Fault& fault : all_faults()) {
    for (const bool for_ever : {false, true}) {
      if (for_ever && fault.error != EIO && fault.error != ENOSPC) continue;
      bool has_failed = true;
      std::uint64_t fail_at = 0;
      while (has_failed) {
        ++fail_at;
        INFO(name_of(mode) << ", call " << fail_at << ", " << fault.name
                           << (for_ever ? " from then on" : " once"));
        const faults::Plan plan{.directory = "",
                                .calls = calls,
                                .fail_at = fail_at,
                                .for_ever = for_ever,
                                .error = fault.error};
        CHECK(with_fault(mode, plan, fault, &has_failed) == "");
      }
      // A write makes several calls in sync mode, an append and a flush: fewer, and the sweep would
      // have missed them.
      CHECK(fail_at > (mode == Durability::sync ? 16 : 2));
    }
  }
}

}  // namespace

TEST_CASE("In sync mode any write or flush may fail") {
  sweep(Durability::sync, faults::kAll);
}

TEST_CASE("In async mode any write, block or flush may fail") {
  sweep(Durability::async, faults::kAll);
}

TEST_CASE("In map_async mode any call but the flush of the map may fail") {
  sweep(Durability::map_async, faults::kAll & ~faults::kMsync);
}

TEST_CASE("A flush of the map that fails is told, and the store is not trusted again") {
  for (const bool for_ever : {false, true}) {
    bool has_failed = true;
    for (std::uint64_t fail_at = 1; has_failed; ++fail_at) {
      INFO("flush " << fail_at << (for_ever ? " from then on" : " once"));
      const faults::Plan plan{.directory = "",
                              .calls = faults::kMsync,
                              .fail_at = fail_at,
                              .for_ever = for_ever,
                              .error = EIO};
      CHECK(with_fault(Durability::map_async, plan, all_faults()[0], &has_failed) == "");
    }
  }
}

// A disk that was full at the moment of LMDB's last page of a commit was disk_full for the write,
// and from then on env_failed for every read.
TEST_CASE("Whichever write a full disk refuses, reads go on") {
  for (const Durability durability : kJournaled) {
    bool has_failed = true;
    for (std::uint64_t fail_at = 1; has_failed; ++fail_at) {
      INFO(name_of(durability) << ", write " << fail_at);
      const TempDir temp(memory_directory());
      Options options = options_for(temp.path(), durability);
      options.write_buffer_bytes = 64 << 10;
      const StorePtr store = must_open(options);
      const std::string large(60'000, 'l');  // goes straight into LMDB
      must(store->put("key", large));
      must(store->put("small", "value"));
      const auto snapshot = store->snapshot();
      REQUIRE(snapshot.ok());
      faults::arm({.directory = temp.path(),
                   .calls = faults::kAnyWrite,
                   .fail_at = fail_at,
                   .error = ENOSPC});
      const std::string answer = outcome(store->put("other", large));
      has_failed = faults::has_failed();
      faults::disarm();
      INFO(answer);
      CHECK((answer == "ok" || answer == "disk_full"));
      for (int round = 0; round < 3; ++round) {
        CHECK(get(*store, "key") == large);
        CHECK(get(*store, "small") == "value");
        CHECK(get(*store, "other") == (answer == "ok" ? large : "nothing"));
        CHECK(count_keys(*store) == (answer == "ok" ? 3 : 2));
        CHECK(store->info().ok());
        CHECK(get_in(*snapshot.value(), "key") == large);
      }
      (void)store->close();
      const StorePtr again = must_open(options);
      CHECK(get(*again, "key") == large);
      CHECK(get(*again, "small") == "value");
      if (answer == "ok") CHECK(get(*again, "other") == large);
      must(again->close());
    }
  }
}

// Sandboxes and old layers between systems have no calls to set blocks aside, or to write out a
// range: every put was io_error there, or the start.
TEST_CASE("Without calls that reserve blocks or write out a range a store works all the same") {
  for (const Durability durability : kAllModes) {
    for (const auto& [call, error] : {std::pair(faults::kFallocate, ENOSYS),
                                      {faults::kFallocate, EPERM},
                                      {faults::kSyncRange, ENOSYS},
                                      {faults::kSyncRange, EPERM}}) {
      INFO(name_of(durability) << ", call " << call << ", errno " << error);
      const TempDir temp;
      const Options options = options_for(temp.path(), durability);
      faults::arm({.directory = temp.path(),
                   .calls = static_cast<std::uint32_t>(call),
                   .fail_at = 1,
                   .for_ever = true,
                   .error = error});
      const std::string value(5000, 'v');
      for (int round = 0; round < 2; ++round) {
        const StorePtr store = must_open(options);
        for (int i = 0; i < 500; ++i) {
          REQUIRE(outcome(store->put(std::to_string(1000 * round + i), value)) == "ok");
        }
        CHECK(outcome(store->sync()) == "ok");
        CHECK(count_keys(*store) == 500U * (round + 1));
        CHECK(outcome(store->close()) == "ok");
      }
      const bool made = durability != Durability::map_async || call == faults::kFallocate;
      CHECK((faults::disarm() != 0) == made);
      const StorePtr store = must_open(options);
      for (int i = 0; i < 500; ++i) REQUIRE(get(*store, std::to_string(i)) == value);
      must(store->close());
    }
  }
}

// The pages of a flush that failed count as clean. Only the memory of the process knew: after a
// kill the next start trusted the file, since the machine had been up all the while, and called it
// clean.
TEST_CASE("A map_async store whose flush failed is not trusted after a kill, or a close") {
  for (const bool killed : {true, false}) {
    INFO(killed);
    const TempDir temp(memory_directory());
    const Options options = options_for(temp.path(), Durability::map_async);
    CHECK(run_child([&] {
            const StorePtr store = must_open(options);
            must(store->put("key", "value"));
            faults::arm({.directory = "", .calls = faults::kMsync, .fail_at = 1, .error = EIO});
            CHILD_EQUAL(outcome(store->sync()), "io_error");
            faults::disarm();
            if (!killed) CHILD_EQUAL(outcome(store->close()), "env_failed");
            return 0;
          }) == "exit 0");
    CHECK(outcome(Store::open(options)) == "unclean_shutdown");
    // The next start does not call it clean either.
    CHECK(outcome(Store::open(options)) == "unclean_shutdown");
  }
}

TEST_CASE("A failed flush poisons the store: writes are refused, reads go on, reopening heals") {
  const TempDir temp(memory_directory());
  Options options = options_for(temp.path(), Durability::map_async);
  const StorePtr store = must_open(options);
  must(store->put("key", "value"));
  faults::arm({.directory = "", .calls = faults::kMsync, .fail_at = 1, .error = EIO});
  CHECK(outcome(store->sync()) == "io_error");
  faults::disarm();
  CHECK(outcome(store->put("key", "other")) == "env_failed");
  CHECK(outcome(store->remove("key")) == "env_failed");
  CHECK(outcome(store->reset()) == "env_failed");
  CHECK(outcome(store->sync()) == "env_failed");
  CHECK(get(*store, "key") == "value");
  CHECK(store->info().value().failed);
  CHECK(outcome(store->close()) == "env_failed");
  CHECK(outcome(Store::open(options)) == "unclean_shutdown");
  options.on_unclean = OnUnclean::reset;
  const StorePtr again = must_open(options);
  CHECK(get(*again, "key") == "nothing");
  CHECK(outcome(again->put("key", "value")) == "ok");
  CHECK(outcome(again->close()) == "ok");
}

TEST_CASE(
    "In sync mode a failed flush poisons the store, and a reopened one has what it promised") {
  const TempDir temp(memory_directory());
  const Options options = options_for(temp.path(), Durability::sync);
  const StorePtr store = must_open(options);
  must(store->put("key", "value"));
  faults::arm({.directory = temp.path(), .calls = faults::kFdatasync, .fail_at = 1, .error = EIO});
  CHECK(outcome(store->put("key", "other")) == "io_error");
  faults::disarm();
  CHECK(outcome(store->put("key", "third")) == "env_failed");
  CHECK(get(*store, "key") == "value");
  CHECK(store->info().value().failed);
  CHECK(outcome(store->close()) == "env_failed");
  // The refused write may be in the journal; who was told of the failure knows that.
  const StorePtr again = must_open(options);
  const std::string found = get(*again, "key");
  CHECK((found == "value" || found == "other"));
  CHECK(outcome(again->put("key", "fourth")) == "ok");
  must(again->close());
}

TEST_CASE("Whichever call fails while a store is made, the next open makes it") {
  for (const Durability mode : kAllModes) {
    for (const Fault& fault : all_faults()) {
      if (fault.error == EDQUOT || fault.error == EFBIG) continue;
      bool has_failed = true;
      for (std::uint64_t fail_at = 1; has_failed; ++fail_at) {
        INFO(name_of(mode) << ", call " << fail_at << ", " << fault.name);
        const TempDir temp(memory_directory());
        const std::size_t descriptors = open_descriptors();
        const Options options = options_for(temp / "store", mode);
        faults::arm({.directory = temp.path(), .fail_at = fail_at, .error = fault.error});
        auto store = Store::open(options);
        has_failed = faults::has_failed();
        faults::disarm();
        if (!store) CHECK(fault.words.count(outcome(store)) == 1);
        if (!store) store = must_open(options);
        CHECK(outcome(store.value()->put("key", "value")) == "ok");
        CHECK(get(*store.value(), "key") == "value");
        CHECK(outcome(store.value()->close()) == "ok");
        for (const auto& entry : fs::directory_iterator(temp / "store")) {
          CHECK_FALSE(entry.path().filename().string().starts_with(".new-"));
        }
        CHECK(open_descriptors() == descriptors);
      }
    }
  }
}
