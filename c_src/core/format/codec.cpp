#include "format/codec.h"

#include <cstdint>

#ifdef HYPER_LMDB_LZ4
#include <lz4.h>
#endif
#ifdef HYPER_LMDB_ZSTD
#include <zstd.h>
#endif

#include <new>

#include "os/per_thread.h"

namespace hyper_lmdb {

namespace {

[[maybe_unused]] Error damaged() noexcept {
  return {.code = Code::corrupted, .operation = "inflate"};
}

#ifdef HYPER_LMDB_LZ4

// LZ4's blocks do not say how much they hold; a byte of one is at most this much.
constexpr std::size_t kLz4MostRatio = 255;

std::size_t compress_lz4(std::string_view raw, char* out, std::size_t room) noexcept {
  const int size =
      LZ4_compress_default(raw.data(), out, static_cast<int>(raw.size()), static_cast<int>(room));
  return size > 0 ? static_cast<std::size_t>(size) : 0;
}

Result<void> inflate_lz4(std::string_view compressed, char* out, std::size_t raw_bytes) noexcept {
  const int size = LZ4_decompress_safe(compressed.data(), out, static_cast<int>(compressed.size()),
                                       static_cast<int>(raw_bytes));
  if (size < 0 || static_cast<std::size_t>(size) != raw_bytes) return damaged();
  return {};
}

#endif

#ifdef HYPER_LMDB_ZSTD

/// Contexts are dear to make. What a large value made of one is not kept.
class ZstdContexts {
 public:
  ZstdContexts() = default;
  ZstdContexts(const ZstdContexts&) = delete;
  ZstdContexts& operator=(const ZstdContexts&) = delete;
  ~ZstdContexts() {
    ZSTD_freeCCtx(compress_);
    ZSTD_freeDCtx(inflate_);
  }

  std::size_t compress(std::string_view raw, char* out, std::size_t room) {
    if (compress_ == nullptr) compress_ = ZSTD_createCCtx();
    if (compress_ == nullptr) throw std::bad_alloc();
    const std::size_t size =
        ZSTD_compressCCtx(compress_, out, room, raw.data(), raw.size(), ZSTD_CLEVEL_DEFAULT);
    constexpr std::size_t kKeptBytes = 512 << 10;
    if (ZSTD_sizeof_CCtx(compress_) > kKeptBytes) {
      ZSTD_freeCCtx(compress_);
      compress_ = nullptr;
    }
    return ZSTD_isError(size) != 0 ? 0 : size;
  }

  std::size_t inflate(std::string_view compressed, char* out, std::size_t raw_bytes) {
    if (inflate_ == nullptr) inflate_ = ZSTD_createDCtx();
    if (inflate_ == nullptr) throw std::bad_alloc();
    return ZSTD_decompressDCtx(inflate_, out, raw_bytes, compressed.data(), compressed.size());
  }

 private:
  ZSTD_CCtx* compress_ = nullptr;
  ZSTD_DCtx* inflate_ = nullptr;
};

Result<void> inflate_zstd(std::string_view compressed, char* out, std::size_t raw_bytes) {
  const std::size_t size = per_thread<ZstdContexts>().inflate(compressed, out, raw_bytes);
  if (ZSTD_isError(size) != 0 || size != raw_bytes) return damaged();
  return {};
}

#endif

}  // namespace

bool has_compression(Compression compression) noexcept {
  switch (compression) {
    case Compression::none:
      return true;
    case Compression::lz4:
#ifdef HYPER_LMDB_LZ4
      return true;
#else
      return false;
#endif
    case Compression::zstd:
#ifdef HYPER_LMDB_ZSTD
      return true;
#else
      return false;
#endif
  }
  return false;
}

std::size_t compress([[maybe_unused]] Compression codec, [[maybe_unused]] std::string_view raw,
                     [[maybe_unused]] char* out, [[maybe_unused]] std::size_t room) {
#ifdef HYPER_LMDB_LZ4
  if (codec == Compression::lz4) return compress_lz4(raw, out, room);
#endif
#ifdef HYPER_LMDB_ZSTD
  if (codec == Compression::zstd) return per_thread<ZstdContexts>().compress(raw, out, room);
#endif
  return 0;
}

bool may_inflate_to([[maybe_unused]] Compression codec,
                    [[maybe_unused]] std::string_view compressed,
                    [[maybe_unused]] std::size_t raw_bytes) noexcept {
#ifdef HYPER_LMDB_LZ4
  if (codec == Compression::lz4) return raw_bytes / kLz4MostRatio <= compressed.size();
#endif
#ifdef HYPER_LMDB_ZSTD
  if (codec == Compression::zstd) {
    return ZSTD_getFrameContentSize(compressed.data(), compressed.size()) == raw_bytes;
  }
#endif
  return true;  // inflate knows more
}

Result<void> inflate([[maybe_unused]] Compression codec,
                     [[maybe_unused]] std::string_view compressed, [[maybe_unused]] char* out,
                     [[maybe_unused]] std::size_t raw_bytes) {
#ifdef HYPER_LMDB_LZ4
  if (codec == Compression::lz4) return inflate_lz4(compressed, out, raw_bytes);
#endif
#ifdef HYPER_LMDB_ZSTD
  if (codec == Compression::zstd) return inflate_zstd(compressed, out, raw_bytes);
#endif
  return Error{.code = Code::unknown_format, .operation = "inflate"};
}

}  // namespace hyper_lmdb
