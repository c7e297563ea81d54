// Results and errors of the C++ core. Nothing here throws by design.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

namespace hyper_lmdb {

/// Why a call failed. One code names one cause; absence of a key is not an error.
enum class Code : std::uint8_t {
  bad_key,
  key_too_large,
  value_too_large,
  batch_too_large,
  check_failed,
  exists,
  map_full,
  disk_full,
  quota_exceeded,
  file_too_large,
  io_error,
  env_failed,
  corrupted,
  checksum_mismatch,
  not_a_database,
  version_mismatch,
  unknown_format,
  unclean_shutdown,
  journal_mismatch,
  readers_full,
  overloaded,
  no_memory,
  too_many_files,
  too_many_threads,
  permission_denied,
  read_only,
  no_such_directory,
  unsupported_fs,
  already_open,
  closed,
  snapshot_expired,
  bad_option,
  conflicting_option,
  work_limit,  ///< more work than the caller allowed; only where a limit was given
  busy,        ///< others have all there is of something; to be asked for again in a while
  internal,
};

/// The code as the word users see, for example "map_full". Static storage; never null.
const char* name_of(Code code) noexcept;

/// A failure: its cause, and what is needed to find where it came from.
struct Error {
  Code code;
  int native = 0;              ///< LMDB's or the system's own number; 0 where there is none
  const char* operation = "";  ///< the call that failed, static storage
  const char* option = "";     ///< the option meant by bad_option and conflicting_option
  std::uint64_t index = 0;     ///< the offending element of a batch, from 1; 0 where none is meant
};

/// A value or an Error. ReadCall the side that is not there is undefined: ask first.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) noexcept : state_(std::in_place_index<0>, std::move(value)) {}
  Result(const Error& error) noexcept : state_(std::in_place_index<1>, error) {}

  bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }
  T& value() & noexcept { return *std::get_if<0>(&state_); }
  const T& value() const& noexcept { return *std::get_if<0>(&state_); }
  T&& value() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  const Error& error() const noexcept { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() noexcept = default;
  Result(const Error& error) noexcept : error_(error) {}

  bool ok() const noexcept { return !error_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  const Error& error() const noexcept { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace hyper_lmdb
