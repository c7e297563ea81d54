#include "sustained.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <system_error>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "core_store.h"
#include "latencies.h"
#include "memory_watch.h"
#include "random_writes.h"
#include "raw_store.h"

extern char** environ;

namespace hyper_lmdb::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kRawBatch = 10'000;
constexpr std::size_t kLoadBatch = 1000;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void check(const Result<void>& done) {
  if (!done.ok()) throw std::runtime_error(name_of(done.error().code));
}

Options options_for(const std::string& directory) {
  Options options;
  options.directory = directory;
  options.durability = Durability::async;
  return options;
}

/// All keys in order, in batches handed to `write(entries)`.
template <typename Write>
void load_all(const Sustained& settings, Write write) {
  RandomWrites writes(settings.keys);
  std::array<PackedKey, kLoadBatch> keys;
  std::vector<Entry> entries;
  for (std::uint32_t i = 0; i < settings.keys;) {
    entries.clear();
    for (; i < settings.keys && entries.size() < kLoadBatch; ++i) {
      PackedKey& key = keys[entries.size()];
      key = RandomWrites::key_of(i);
      entries.push_back({key.view(), writes.value()});
    }
    write(entries);
  }
}

void load_core(const std::string& directory, const Sustained& settings) {
  const auto store = open_store(options_for(directory));
  std::vector<Op> ops;
  load_all(settings, [&](const std::vector<Entry>& entries) {
    ops.clear();
    for (const Entry& entry : entries) ops.push_back({OpKind::put, entry.key, entry.value});
    check(store->batch_write(ops));
  });
  check(store->close());
}

/// Puts a second of raw LMDB in synced batches, each in the order drawn.
double raw_rate(const std::string& directory, const Sustained& settings, double seconds,
                std::uint64_t seed) {
  RawStore store(directory, RawStore::Mode::sync);
  RandomWrites writes(settings.keys, seed);
  std::vector<PackedKey> keys(kRawBatch);
  std::vector<Entry> entries(kRawBatch);
  std::uint64_t puts = 0;
  const auto start = Clock::now();
  do {
    for (std::size_t i = 0; i < kRawBatch; ++i) {
      keys[i] = writes.key();
      entries[i] = {keys[i].view(), writes.value()};
    }
    store.batch_write(entries);
    puts += kRawBatch;
  } while (seconds_since(start) < seconds);
  return static_cast<double>(puts) / seconds_since(start);
}

struct CoreRun {
  double rate = 0;
  double close_seconds = 0;
  std::uint64_t p999 = 0;
  std::uint64_t longest = 0;
  double memory_of_buffer = 0;
};

CoreRun core_run(const std::string& directory, const Sustained& settings) {
  RandomWrites writes(settings.keys);
  Latencies latencies;
#ifdef __GLIBC__
  malloc_trim(0);  // what was freed before would hide growth
#endif
  MemoryWatch memory;
  const auto store = open_store(options_for(directory));
  const auto length = std::chrono::duration<double>(settings.seconds);
  std::uint64_t puts = 0;
  const auto start = Clock::now();
  for (auto now = start; now - start < length;) {
    const PackedKey key = writes.key();
    const std::string_view value = writes.value();
    const auto before = Clock::now();
    check(store->put(key.view(), value));
    now = Clock::now();
    latencies.add(static_cast<std::uint64_t>(std::chrono::nanoseconds(now - before).count()));
    ++puts;
  }
  CoreRun run{.rate = static_cast<double>(puts) / seconds_since(start),
              .p999 = latencies.percentile(0.999),
              .longest = latencies.longest()};
  const auto closing = Clock::now();
  check(store->close());
  run.close_seconds = seconds_since(closing);
  run.memory_of_buffer = static_cast<double>(memory.growth()) /
                         static_cast<double>(store->settings().write_buffer_bytes);
  return run;
}

void run_and_kill(const std::string& directory, const Sustained& settings) {
  std::array<std::string, 5> words{"core_bench", kFillAndDie, directory,
                                   std::to_string(settings.keys),
                                   std::to_string(settings.journal_bytes)};
  std::array<char*, words.size() + 1> arguments{};
  for (std::size_t i = 0; i < words.size(); ++i) arguments[i] = words[i].data();
  pid_t child = 0;
  const int spawned =
      posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments.data(), environ);
  if (spawned != 0) throw std::system_error(spawned, std::generic_category(), "posix_spawn");
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw std::runtime_error("the process to be killed failed");
  }
}

std::vector<Figure> recovery(const std::string& directory, const Sustained& settings) {
  run_and_kill(directory, settings);
  const auto start = Clock::now();
  const auto store = open_store(options_for(directory));
  const double took = seconds_since(start);
  const auto info = store->info();
  if (!info.ok()) throw std::runtime_error(name_of(info.error().code));
  const double mib = static_cast<double>(info.value().replayed_bytes) / (1 << 20);
  check(store->close());
  return {{"recovery_mib", "records found in the journal after the kill, MiB", mib},
          {"recovery_s", "opening the store then, seconds", took}};
}

}  // namespace

std::vector<Figure> sustained(const TempDir& dir, const Sustained& settings) {
  const std::string ours = dir.make("sustained_core");
  const std::string raws = dir.make("sustained_raw");
  load_core(ours, settings);
  {
    RawStore store(raws, RawStore::Mode::sync);
    load_all(settings, [&](const std::vector<Entry>& entries) { store.batch_write(entries); });
  }
  // Raw LMDB before and after, so that a machine that slows down slows both.
  const double raw_seconds = settings.seconds / 4;
  const double raw_before = raw_rate(raws, settings, raw_seconds, 1);
  const CoreRun core = core_run(ours, settings);
  const double raw_after = raw_rate(raws, settings, raw_seconds, 2);
  const double raw = (raw_before + raw_after) / 2;

  std::vector<Figure> figures{
      {"sustained_s", "length of the run, seconds", settings.seconds},
      {"sustained_puts_s", "core, async, puts a second", core.rate},
      {"sustained_raw_puts_s", "raw LMDB, synced batches of 10,000, puts a second", raw},
      {"sustained_gain", "core / raw", core.rate / raw},
      {"sustained_p999_ms", "p99.9 of a put, ms", static_cast<double>(core.p999) / 1e6},
      {"sustained_longest_ms", "longest put, ms", static_cast<double>(core.longest) / 1e6},
      {"sustained_close_s", "closing afterwards, seconds", core.close_seconds}};
  if (core.memory_of_buffer > 0) {
    figures.push_back({"sustained_memory", "most memory beside the map / write_buffer_bytes",
                       core.memory_of_buffer});
  }
  for (Figure& figure : recovery(ours, settings)) figures.push_back(std::move(figure));
  return figures;
}

void fill_and_die(const std::string& directory, const Sustained& settings) {
  try {
    const auto store = open_store(options_for(directory));
    RandomWrites writes(settings.keys, 3);
    std::uint64_t frozen = 0;  // bytes of journal in the segment before
    std::uint64_t active = 0;
    while (frozen + active < settings.journal_bytes) {
      for (int i = 0; i < 1000; ++i) {
        const PackedKey key = writes.key();
        check(store->put(key.view(), writes.value()));
      }
      const std::uint64_t now = store->info().value().journal_bytes;
      if (now < active) frozen = active;
      active = now;
    }
    _exit(0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", kFillAndDie, error.what());
    _exit(1);
  }
}

}  // namespace hyper_lmdb::bench
