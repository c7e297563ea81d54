#include "os/errors.h"

#include <lmdb.h>

#include <cerrno>

namespace hyper_lmdb {

namespace {

Code code_of_errno(int code) noexcept {
  switch (code) {
    case ENOSPC:
      return Code::disk_full;
    case EDQUOT:
      return Code::quota_exceeded;
    case EFBIG:
      return Code::file_too_large;
    case ENOMEM:
      return Code::no_memory;
    case EMFILE:
    case ENFILE:
      return Code::too_many_files;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::permission_denied;
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
      return Code::no_such_directory;
    case EINVAL:
      return Code::internal;
    default:
      return Code::io_error;
  }
}

}  // namespace

Error from_errno(int code, const char* operation) noexcept {
  return {.code = code_of_errno(code), .native = code, .operation = operation};
}

Error from_thread_start(int code) noexcept {
  Error error = from_errno(code, "start thread");
  // A limit of processes, or no address space for the thread's stack: the system does not say.
  if (code == EAGAIN) error.code = Code::too_many_threads;
  return error;
}

Error from_lmdb(int code, const char* operation) noexcept {
  Error error = from_errno(code, operation);
  switch (code) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_CURSOR_FULL:
      error.code = Code::corrupted;
      break;
    case MDB_PANIC:
    case MDB_BAD_RSLOT:
      error.code = Code::env_failed;
      break;
    case MDB_VERSION_MISMATCH:
      error.code = Code::version_mismatch;
      break;
    case MDB_INVALID:
      error.code = Code::not_a_database;
      break;
    case MDB_MAP_FULL:
      error.code = Code::map_full;
      break;
    case MDB_READERS_FULL:
      error.code = Code::readers_full;
      break;
    case MDB_TXN_FULL:
      error.code = Code::batch_too_large;
      break;
    default:
      if (code < 0) error.code = Code::internal;
      break;
  }
  return error;
}

const char* name_of(Code code) noexcept {
  switch (code) {
    case Code::bad_key:
      return "bad_key";
    case Code::key_too_large:
      return "key_too_large";
    case Code::value_too_large:
      return "value_too_large";
    case Code::batch_too_large:
      return "batch_too_large";
    case Code::check_failed:
      return "check_failed";
    case Code::exists:
      return "exists";
    case Code::map_full:
      return "map_full";
    case Code::disk_full:
      return "disk_full";
    case Code::quota_exceeded:
      return "quota_exceeded";
    case Code::file_too_large:
      return "file_too_large";
    case Code::io_error:
      return "io_error";
    case Code::env_failed:
      return "env_failed";
    case Code::corrupted:
      return "corrupted";
    case Code::checksum_mismatch:
      return "checksum_mismatch";
    case Code::not_a_database:
      return "not_a_database";
    case Code::version_mismatch:
      return "version_mismatch";
    case Code::unknown_format:
      return "unknown_format";
    case Code::unclean_shutdown:
      return "unclean_shutdown";
    case Code::journal_mismatch:
      return "journal_mismatch";
    case Code::busy:
      return "busy";
    case Code::readers_full:
      return "readers_full";
    case Code::overloaded:
      return "overloaded";
    case Code::no_memory:
      return "no_memory";
    case Code::too_many_files:
      return "too_many_files";
    case Code::too_many_threads:
      return "too_many_threads";
    case Code::permission_denied:
      return "permission_denied";
    case Code::read_only:
      return "read_only";
    case Code::no_such_directory:
      return "no_such_directory";
    case Code::unsupported_fs:
      return "unsupported_fs";
    case Code::already_open:
      return "already_open";
    case Code::closed:
      return "closed";
    case Code::snapshot_expired:
      return "snapshot_expired";
    case Code::bad_option:
      return "bad_option";
    case Code::conflicting_option:
      return "conflicting_option";
    case Code::work_limit:
      return "work_limit";
    case Code::internal:
      return "internal";
  }
  return "internal";
}

}  // namespace hyper_lmdb
