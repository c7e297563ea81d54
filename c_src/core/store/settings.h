// Options checked and filled in.
#pragma once

#include "hyper_lmdb/options.h"
#include "hyper_lmdb/result.h"

namespace hyper_lmdb {

/// Every option checked for its range, every default filled in. Errors: bad_option.
Result<Settings> resolve_settings(const Options& options);

/// The name of the first given option that differs from what the store runs with; null if none.
const char* first_conflict(const Options& options, const Settings& running) noexcept;

}  // namespace hyper_lmdb
