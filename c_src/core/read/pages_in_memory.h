// Which pages behind some bytes are in memory, and how to bring them there.
#pragma once

#include <string_view>

namespace hyper_lmdb {

/// Whether every page of the bytes is in memory: reading them does not wait for the disk. True
/// where the system does not say. Costs half a microsecond.
bool in_memory(std::string_view bytes) noexcept;

/// Returns when every page of the bytes has been in memory. Asks for all of them before it waits
/// for the first, so that the disk may do them together. Blocks.
void bring_in(std::string_view bytes) noexcept;

}  // namespace hyper_lmdb
