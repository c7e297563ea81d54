#include "lmdb/data_file.h"

#include <lmdb.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "lmdb/txn.h"
#include "lmdb/version.h"
#include "os/errors.h"
#include "os/file_blocks.h"

namespace hyper_lmdb {

namespace {

// LMDB's file formats 1 and 2, as far as this file needs them: a page header, then the meta record.
struct TreeInMeta {
  std::uint32_t pad;
  std::uint16_t flags, depth;
  std::uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};
struct Meta {
  std::uint32_t magic, version;
  std::uint64_t address, map_bytes;
  TreeInMeta trees[2];  // the free list and the main tree; the first one's pad is the page size
  std::uint64_t last_page, transaction_id;
};
static_assert(sizeof(void*) == 8, "the file format is that of 64-bit machines");
constexpr std::size_t kPageHeaderBytes[] = {16, 24};  // of formats 1 and 2
constexpr std::uint32_t kLmdbMagic = 0xBEEFC0DE;
constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
constexpr std::uint64_t kMostMapBytes = 1ULL << 47;

Error invalid(Code code) noexcept {
  return {.code = code, .operation = "inspect data file"};
}

/// The meta record that begins a page. Errors: not_a_database, version_mismatch.
Result<Meta> read_meta(int fd, std::uint64_t page_at) {
  Meta meta;
  std::uint32_t format = 0;
  for (const std::size_t header : kPageHeaderBytes) {
    ++format;
    const ssize_t count = ::pread(fd, &meta, sizeof meta, static_cast<off_t>(page_at + header));
    if (count < 0) return from_errno(errno, "read data file");
    if (static_cast<std::size_t>(count) != sizeof meta) break;
    if (meta.magic != kLmdbMagic) continue;
    const bool readable = (meta.version & 0xFFFF) == format && format == lmdb_file_version();
    return readable ? Result<Meta>(meta) : invalid(Code::version_mismatch);
  }
  return invalid(Code::not_a_database);
}

Result<void> write_new_file(const Directory& directory, const NewFile& file,
                            const Identity& identity, std::uint64_t page_bytes) {
  auto env = open_alone(directory, file.name(), file.fd(), 0, 0, page_bytes);
  if (!env) return env.error();
  MDB_env* const raw = env.value().get();
  auto txn = WriteTxn::begin(raw);
  if (!txn) return txn.error();
  auto dbi = open_main_tree(txn.value().get());
  if (!dbi) return dbi.error();
  if (auto written = write_identity(txn.value().get(), dbi.value(), identity); !written) {
    return written;
  }
  if (auto done = txn.value().commit(); !done) return done;
  if (const int rc = mdb_env_sync(raw, 1); rc != 0) return from_lmdb(rc, "mdb_env_sync");
  return {};
}

/// LMDB maps what is in use at least. The file may say a terabyte, which not every address space
/// has left.
constexpr std::uint64_t kLeastMapBytes = 64 << 10;

}  // namespace

Result<MDB_env*> open_for_reading(const Directory& directory, int fd) {
  auto env = open_alone(directory, kDataFile, fd, MDB_RDONLY | MDB_NOTLS, kLeastMapBytes);
  if (!env) return env.error();
  auto txn = ReadTxn::begin(env.value().get());
  if (!txn) return txn.error();
  if (auto dbi = open_main_tree(txn.value().get()); !dbi) return dbi.error();
  return env.value().release();
}

Result<MdbEnvPtr> open_alone(const Directory& directory, std::string_view name, int fd,
                             unsigned flags, std::uint64_t map_bytes, std::uint64_t page_bytes) {
  MDB_env* raw = nullptr;
  if (const int rc = mdb_env_create(&raw); rc != 0) return from_lmdb(rc, "mdb_env_create");
  MdbEnvPtr env(raw);
  if (map_bytes != 0) {
    if (const int rc = mdb_env_set_mapsize(raw, map_bytes); rc != 0) {
      return from_lmdb(rc, "mdb_env_set_mapsize");
    }
  }
  if (const int rc = set_page_size(raw, page_bytes); rc != 0) {
    return from_lmdb(rc, "mdb_env_set_pagesize");
  }
  if (auto done = open_in(directory, name, fd, raw, MDB_NOSUBDIR | MDB_NOLOCK | flags); !done) {
    return done.error();
  }
  return env;
}

Result<std::string> random_hex() {
  std::array<unsigned char, kStoreIdDigits / 2> bytes;
  if (::getentropy(bytes.data(), bytes.size()) != 0) return from_errno(errno, "getentropy");
  std::string text;
  for (const unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

Result<Identity> read_identity(MDB_txn* txn, MDB_dbi dbi) {
  MDB_val key = to_val(kReservedKey);
  MDB_val value{};
  const int rc = mdb_get(txn, dbi, &key, &value);
  if (rc == MDB_NOTFOUND) return invalid(Code::unknown_format);
  if (rc != 0) return from_lmdb(rc, "mdb_get");
  return decode_identity(to_view(value));
}

Result<void> open_in(const Directory& directory, std::string_view name, int fd, MDB_env* env,
                     unsigned flags) {
  const bool is_directory = (flags & MDB_NOSUBDIR) == 0;
  const std::string path = directory.path_for_lmdb(is_directory ? std::string_view() : name);
  const int rc = mdb_env_open(env, path.c_str(), flags, 0600);
  if (rc == EAGAIN) {
    return Error{.code = Code::already_open, .native = rc, .operation = "mdb_env_open"};
  }
  if (rc != 0) return from_lmdb(rc, "mdb_env_open");
  mdb_filehandle_t opened = -1;
  if (const int failed = mdb_env_get_fd(env, &opened); failed != 0) {
    return from_lmdb(failed, "mdb_env_get_fd");
  }
  if (is_same_file(fd, opened)) return {};
  // A link, or a name on the way, was switched just now: that file is not ours, nor locked.
  return Error{.code = Code::no_such_directory, .operation = "mdb_env_open"};
}

Result<Identity> identify_data_file(const Directory& directory, std::string_view name, int fd) {
  auto env = open_alone(directory, name, fd, MDB_RDONLY, kLeastMapBytes);
  if (!env) return env.error();
  auto txn = ReadTxn::begin(env.value().get());
  if (!txn) return txn.error();
  auto dbi = open_main_tree(txn.value().get());
  if (!dbi) return dbi.error();
  return read_identity(txn.value().get(), dbi.value());
}

Result<void> write_identity(MDB_txn* txn, MDB_dbi dbi, const Identity& identity) {
  const std::string bytes = encode_identity(identity);
  MDB_val key = to_val(kReservedKey);
  MDB_val value = to_val(bytes);
  if (const int rc = mdb_put(txn, dbi, &key, &value, 0); rc != 0) return from_lmdb(rc, "mdb_put");
  return {};
}

Result<void> create_data_file(const Directory& directory, std::uint64_t page_bytes,
                              bool mapped_writes) {
  auto id = random_hex();
  if (!id) return id.error();
  auto file = directory.create_file(std::string(kTemporaryPrefix) + id.value());
  if (!file) return file.error();
  if (mapped_writes) keep_in_place(file.value().fd());
  auto done = write_new_file(directory, file.value(), {.store_id = id.value()}, page_bytes);
  if (done) done = directory.rename(&file.value(), kDataFile);
  if (!done) return done;
  file.value().keep();
  if (done = directory.sync(); !done) return done;
  return directory.sync_parent();
}

void remove_unfinished_files(const Directory& directory) noexcept try {
  auto names = directory.list();
  if (!names) return;
  for (const std::string& name : names.value()) {
    // Only what this library would call so: anything else is somebody's own.
    if (!name.starts_with(kTemporaryPrefix)) continue;
    const std::string_view id = std::string_view(name).substr(kTemporaryPrefix.size());
    const bool is_ours = id.size() == kStoreIdDigits &&
                         id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
    if (is_ours) (void)directory.remove(name);  // in nobody's way where it stays
  }
} catch (const std::bad_alloc&) {
  // The next opening does it.
}

Result<FileShape> inspect_data_file(int fd) {
  struct stat found;
  if (::fstat(fd, &found) != 0) return from_errno(errno, "stat data file");
  const auto file_bytes = static_cast<std::uint64_t>(found.st_size);

  std::uint64_t page_bytes = 0;
  Meta newest{};
  for (int i = 0; i < 2; ++i) {
    auto read = read_meta(fd, i * page_bytes);
    if (!read) return read.error();
    const Meta& meta = read.value();
    if (i == 0) {
      page_bytes = meta.trees[0].pad;
      const bool power_of_two = (page_bytes & (page_bytes - 1)) == 0;
      if (page_bytes < 256 || page_bytes > 65536 || !power_of_two) return invalid(Code::corrupted);
    }
    if (i == 0 || meta.transaction_id > newest.transaction_id) newest = meta;
  }
  for (const TreeInMeta& tree : newest.trees) {
    if (tree.root == kNoPage) continue;
    if (tree.root > newest.last_page || tree.root >= file_bytes / page_bytes) {
      return invalid(Code::corrupted);
    }
  }
  if (newest.last_page >= kMostMapBytes / page_bytes) return invalid(Code::corrupted);
  return FileShape{.page_bytes = page_bytes,
                   .map_bytes = newest.map_bytes,
                   .used_bytes = (newest.last_page + 1) * page_bytes};
}

}  // namespace hyper_lmdb
