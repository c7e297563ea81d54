// What a batch comes to: its checks, where its paths lead, what it replaces. Decides everything and
// changes nothing but a pending_batch and what `Links` remembers of the transaction under way.
#pragma once

#include <span>

#include "buffer/pending_batch.h"
#include "hyper_lmdb/batch.h"
#include "hyper_lmdb/result.h"
#include "paths/links.h"
#include "paths/path_view.h"
#include "read/view.h"

namespace hyper_lmdb {

/// Evaluates the checks of a batch as if its elements were applied in order; changes nothing.
/// Paths are not resolved: a batch has checks or paths, not both.
/// Errors: check_failed with the index; corrupted, unknown_format, checksum_mismatch; work_limit
/// where the view's reading may not wait and a record is too long for it.
Result<void> evaluate_checks(const View& view, std::span<const Op> ops);

/// Whether every element goes to the key it names, so that the order between keys does not matter.
bool goes_straight(const Links& links, std::span<const Op> ops) noexcept;

/// The key element `index` of a batch goes to: that of the path it names, through the links that
/// the view has. `lookups_left` is of the whole batch. Errors: bad_key with the index, for a path
/// that leads nowhere; work_limit; as reading the view.
Result<PathText> target_of(const View& view, Links* links, Clock clock, std::span<const Op> ops,
                           std::size_t index, std::uint64_t* lookups_left);

/// How many records a batch may look up on the way of its paths.
std::uint64_t lookups_for_paths(const View& view) noexcept;

/// Whether `decide` would look at the store: else it may be given any view.
bool looks_at_store(const Links& links, std::span<const Op> ops) noexcept;

/// Decides puts, links, marks and removals in the order given. Where this fails the pending_batch
/// is to be thrown away. Errors: as target_of, key_too_large, corrupted; work_limit too where the
/// view's reading may not wait and a record is too long for it.
Result<void> decide(const View& view, Links* links, Clock clock, bool checksum,
                    std::span<const Op> ops, PendingBatch* pending_batch);

}  // namespace hyper_lmdb
