#include "store/settings.h"

#include <bit>

#include "lmdb/version.h"

namespace hyper_lmdb {

namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kGiB = 1ULL << 30;
constexpr std::uint64_t kDayMs = 24ULL * 60 * 60 * 1000;

Error bad(const char* option) noexcept {
  return {.code = Code::bad_option, .operation = "open", .option = option};
}

bool outside(const std::optional<std::uint64_t>& value, std::uint64_t low, std::uint64_t high) {
  return value && (*value < low || *value > high);
}

}  // namespace

Result<Settings> resolve_settings(const Options& options) {
  if (options.directory.empty() || options.directory.size() >= 4096 ||
      options.directory.find('\0') != std::string::npos) {
    return bad("name");
  }
  if (outside(options.capacity, 64 * kKiB, 1ULL << 46)) return bad("capacity");
  if (outside(options.write_buffer_bytes, 64 * kKiB, 1ULL << 40)) return bad("write_buffer_bytes");
  if (outside(options.sync_interval_ms, 1, kDayMs)) return bad("sync_interval_ms");
  if (outside(options.max_value_bytes, 0, kGiB - 1)) return bad("max_value_bytes");
  if (outside(options.max_batch_bytes, 1, 1ULL << 40)) return bad("max_batch_bytes");
  if (outside(options.path_cache_entries, 0, 1ULL << 32)) return bad("path_cache_entries");
  if (outside(options.path_cache_ttl_ms, 0, 1ULL << 48)) return bad("path_cache_ttl_ms");
  if (outside(options.compression_threshold, 0, kGiB)) return bad("compression_threshold");
  if (options.page_size && (!kPageSizeToChoose || !std::has_single_bit(*options.page_size) ||
                            outside(options.page_size, 4 * kKiB, 64 * kKiB))) {
    return bad("page_size");
  }
  if (options.compression && !has_compression(*options.compression)) return bad("compression");
  if (outside(options.max_snapshot_age_ms, 1, 1ULL << 48)) return bad("max_snapshot_age_ms");
  if (outside(options.max_readers, 4, 1ULL << 14)) return bad("max_readers");

  Settings settings;
  settings.durability = options.durability.value_or(settings.durability);
  const bool mapped = settings.durability == Durability::map_async;
  settings.capacity = options.capacity.value_or(mapped ? 10 * kGiB : 1024 * kGiB);
  settings.capacity_given = options.capacity.has_value();
  settings.write_buffer_bytes = options.write_buffer_bytes.value_or(settings.write_buffer_bytes);
  settings.sync_interval_ms =
      options.sync_interval_ms.value_or(mapped ? 1000 : settings.sync_interval_ms);
  settings.on_unclean = options.on_unclean.value_or(settings.on_unclean);
  settings.max_value_bytes = options.max_value_bytes.value_or(settings.max_value_bytes);
  settings.max_batch_bytes = options.max_batch_bytes.value_or(settings.max_batch_bytes);
  settings.max_readers = options.max_readers.value_or(options.default_max_readers);
  settings.checkpoint_pages = options.checkpoint_pages;
  settings.path_cache_entries = options.path_cache_entries.value_or(settings.path_cache_entries);
  settings.path_cache_ttl_ms = options.path_cache_ttl_ms.value_or(settings.path_cache_ttl_ms);
  settings.compression = options.compression.value_or(settings.compression);
  settings.compression_threshold =
      options.compression_threshold.value_or(settings.compression_threshold);
  settings.page_size = options.page_size.value_or(settings.page_size);
  settings.max_snapshot_age_ms = options.max_snapshot_age_ms.value_or(settings.max_snapshot_age_ms);
  settings.checksum = options.checksum.value_or(settings.checksum);
  settings.read_only = options.read_only.value_or(settings.read_only);
  settings.no_readahead = options.no_readahead.value_or(settings.no_readahead);
  settings.force = options.force.value_or(settings.force);
  return settings;
}

const char* first_conflict(const Options& options, const Settings& running) noexcept {
  const auto differs = [](const auto& given, const auto& value) {
    return given && *given != value;
  };
  if (differs(options.durability, running.durability)) return "durability";
  if (differs(options.capacity, running.capacity)) return "capacity";
  if (differs(options.write_buffer_bytes, running.write_buffer_bytes)) return "write_buffer_bytes";
  if (differs(options.sync_interval_ms, running.sync_interval_ms)) return "sync_interval_ms";
  if (differs(options.on_unclean, running.on_unclean)) return "on_unclean";
  if (differs(options.max_value_bytes, running.max_value_bytes)) return "max_value_bytes";
  if (differs(options.max_batch_bytes, running.max_batch_bytes)) return "max_batch_bytes";
  if (differs(options.max_readers, running.max_readers)) return "max_readers";
  if (differs(options.path_cache_entries, running.path_cache_entries)) return "path_cache_entries";
  if (differs(options.path_cache_ttl_ms, running.path_cache_ttl_ms)) return "path_cache_ttl_ms";
  if (differs(options.compression, running.compression)) return "compression";
  if (differs(options.compression_threshold, running.compression_threshold)) {
    return "compression_threshold";
  }
  if (differs(options.page_size, running.page_size)) return "page_size";
  if (differs(options.max_snapshot_age_ms, running.max_snapshot_age_ms))
    return "max_snapshot_age_ms";
  if (differs(options.checksum, running.checksum)) return "checksum";
  if (differs(options.read_only, running.read_only)) return "read_only";
  if (differs(options.no_readahead, running.no_readahead)) return "no_readahead";
  if (differs(options.force, running.force)) return "force";
  return nullptr;
}

}  // namespace hyper_lmdb
