// How a store is opened.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace hyper_lmdb {

/// What an acknowledged write survives (doc/durability.md).
enum class Durability : std::uint8_t {
  sync,       ///< power cut: flushed before the reply
  async,      ///< a killed process; a power cut takes the last `sync_interval_ms`, never the store
  map_async,  ///< a killed process; after an OS crash the store refuses to open
};

/// What to do with a map_async store that an OS crash may have damaged.
enum class OnUnclean : std::uint8_t {
  error,  ///< open answers unclean_shutdown
  reset,  ///< open starts with an empty store
};

/// How values are made smaller before they are stored. What is stored says how, so that the option
/// may change from one open to the next.
enum class Compression : std::uint8_t { none, lz4, zstd };

/// What the caller asks for. An option left empty takes the default of `Settings`; a second open of
/// a running store compares only the options that are given.
struct Options {
  std::string directory;  ///< required; made absolute at open, created if it is missing
  std::optional<Durability> durability;
  std::optional<std::uint64_t> capacity;            ///< bytes
  std::optional<std::uint64_t> write_buffer_bytes;  ///< of each of two buffers; not in map_async
  std::optional<std::uint64_t> sync_interval_ms;
  std::optional<OnUnclean> on_unclean;
  std::optional<std::uint64_t> max_value_bytes;
  std::optional<std::uint64_t> max_batch_bytes;
  std::optional<std::uint64_t> max_readers;            ///< reader slots of the environment
  std::uint64_t default_max_readers = 126;             ///< what it is when not given
  std::optional<std::uint64_t> path_cache_entries;     ///< 0 turns the cache off
  std::optional<std::uint64_t> path_cache_ttl_ms;      ///< 0 turns the cache off
  std::optional<Compression> compression;              ///< of values written from now on
  std::optional<std::uint64_t> compression_threshold;  ///< bytes; smaller values stay as they are
  std::optional<std::uint64_t> page_size;  ///< of the file when it is created; from LMDB 1.0 on
  std::optional<std::uint64_t> max_snapshot_age_ms;  ///< then a snapshot ends by itself
  std::optional<bool> checksum;                      ///< store a checksum with each value written
  std::optional<bool> read_only;
  std::optional<bool> no_readahead;  ///< ask the kernel not to read ahead
  std::optional<bool> force;         ///< open on a file system that is refused otherwise
  /// Pages that one transaction of a checkpoint changes, about. 1,536 are 6 MB: as fast as larger
  /// transactions, with less memory, and the file stays smaller. To write them out takes the thread
  /// some milliseconds, in which it cannot rest.
  std::uint64_t checkpoint_pages = 1536;
};

/// The options a store runs with, every default filled in.
struct Settings {
  Durability durability = Durability::async;
  std::uint64_t capacity = 0;
  bool capacity_given = false;  ///< else it is made to fit the address space that is left
  std::uint64_t write_buffer_bytes = 64ULL << 20;
  std::uint64_t sync_interval_ms = 100;  ///< 1,000 in map_async
  OnUnclean on_unclean = OnUnclean::error;
  std::uint64_t max_value_bytes = (1ULL << 30) - 1;
  std::uint64_t max_batch_bytes = 256ULL << 20;
  std::uint64_t max_readers = 126;
  std::uint64_t path_cache_entries = 10'000;
  std::uint64_t path_cache_ttl_ms = 300'000;
  Compression compression = Compression::none;
  std::uint64_t compression_threshold = 1024;
  std::uint64_t page_size = 0;  ///< 0: what LMDB takes; of an open store what it has
  std::uint64_t max_snapshot_age_ms = 300'000;
  bool checksum = false;
  bool read_only = false;
  bool no_readahead = false;
  std::uint64_t checkpoint_pages = 1536;  ///< as Options::checkpoint_pages
  bool force = false;
};

/// How the store starts and joins its threads. An embedding runtime may need its own way: the
/// Erlang VM binds schedulers to cores, and a plain thread would inherit the binding.
struct ThreadApi {
  /// Starts a thread that runs `run(argument)`; returns 0 and sets `*thread`, or an errno.
  int (*start)(const char* name, void* (*run)(void*), void* argument, void** thread);
  /// Waits for a thread that `start` made and frees what `*thread` held.
  void (*join)(void* thread);
};

/// Whether the library was built with what a compression takes.
bool has_compression(Compression compression) noexcept;

/// Plain POSIX threads.
const ThreadApi& posix_threads() noexcept;

}  // namespace hyper_lmdb
