#include "buffer_reads.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

#include "core_store.h"
#include "steps.h"

namespace hyper_lmdb::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kPutsBetweenLooks = 256;
constexpr std::uint64_t kGetsBetweenLooks = 500;
constexpr std::uint64_t kFewestGets = 1000;
constexpr std::chrono::seconds kPatience{60};

void check(const Result<void>& done) {
  if (!done.ok()) throw std::runtime_error(name_of(done.error().code));
}

Info info_of(Store& store) {
  auto info = store.info();
  if (!info.ok()) throw std::runtime_error(name_of(info.error().code));
  return std::move(info).value();
}

/// Nanoseconds and how many gets; a measurement of too few does not count.
struct Measured {
  double ns = 0;
  std::uint64_t gets = 0;
  bool enough() const noexcept { return gets >= kFewestGets; }
  double each() const noexcept { return ns / static_cast<double>(gets); }
};

class Bench {
 public:
  Bench(const TempDir& dir, const Dataset& data, const BufferReads& settings)
      : data_(data), settings_(settings), walk_(data) {
    Options options;
    options.directory = dir.make("buffer_reads");
    options.durability = Durability::async;
    options.write_buffer_bytes = settings.write_buffer_bytes;
    store_ = open_store(options);
    for (std::size_t i = 0; i < data.keys(); ++i) put(data.entry(i));
    for (std::uint32_t i = 0; i < settings.written_keys; ++i) put_beside(i);
    rest();
  }
  ~Bench() { (void)store_->close(); }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  /// Until everything is in LMDB: a buffer is frozen by age when nobody fills it.
  void rest() {
    const auto deadline = Clock::now() + kPatience;
    while (info_of(*store_).buffered_keys != 0) {
      if (Clock::now() > deadline) throw std::runtime_error("the write buffer is not applied");
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }

  /// Writes until one buffer is being applied and the next is half full.
  void fill() {
    std::uint64_t half = 0;    // of the journal of a whole buffer
    std::uint64_t before = 0;  // bytes of journal at the look before
    for (const auto deadline = Clock::now() + kPatience; Clock::now() < deadline;) {
      for (std::uint64_t i = 0; i < kPutsBetweenLooks; ++i) {
        put_beside(static_cast<std::uint32_t>(random_() % settings_.written_keys));
      }
      const Info info = info_of(*store_);
      if (info.journal_bytes < before) {  // frozen since, and the one before it was applied
        half = before / 2;
        applied_ = info.applied_buffers;
      }
      before = info.journal_bytes;
      const bool applying = half != 0 && info.applied_buffers == applied_;
      if (applying && info.journal_bytes >= half) return;
    }
    throw std::runtime_error("the write buffer was never half full while one was applied");
  }

  Measured at_rest() {
    return gets([] { return true; });
  }
  /// After `fill`: as long as the same buffer is being applied.
  Measured applying() {
    return gets([this] { return info_of(*store_).applied_buffers == applied_; });
  }
  /// Of the data set's keys, all of them written just before and not in LMDB.
  Measured buffered() {
    for (std::size_t i = 0; i < data_.keys(); ++i) put(data_.entry(i));
    const std::uint64_t applied = info_of(*store_).applied_buffers;
    return gets([this, applied] {
      const Info info = info_of(*store_);
      return info.applied_buffers == applied && info.buffered_keys == data_.keys();
    });
  }

 private:
  void put(const Entry& entry) { check(store_->put(entry.key, entry.value)); }
  void put_beside(std::uint32_t number) {
    std::string key = std::to_string(number);
    key += 'w';
    check(store_->put(key, data_.value(number)));
  }

  /// Parts during which `holds` was false at their end do not count.
  template <typename Holds>
  Measured gets(Holds holds) {
    Measured measured;
    Buffer buffer(data_);
    while (measured.gets < settings_.reads) {
      const auto start = Clock::now();
      for (std::uint64_t i = 0; i < kGetsBetweenLooks; ++i) {
        const auto found =
            store_->get(walk_.key().view(), [&](std::string_view value) { buffer.copy(value); });
        if (const char* failed = failure(found)) throw std::runtime_error(failed);
      }
      const std::chrono::duration<double, std::nano> took = Clock::now() - start;
      if (!holds()) break;
      measured.ns += took.count();
      measured.gets += kGetsBetweenLooks;
    }
    return measured;
  }

  const Dataset& data_;
  const BufferReads settings_;
  std::shared_ptr<Store> store_;
  Walk walk_;
  std::mt19937_64 random_{Dataset::kSeed};
  std::uint64_t applied_ = 0;
};

/// Rounds that do not count are told: a median of few of them says less.
void tell_dropped(const char* what, std::size_t counted, int rounds) {
  if (counted == static_cast<std::size_t>(rounds)) return;
  std::printf("\n*** SKIPPED: %s: %zu of %d rounds count, the others were too short\n", what,
              counted, rounds);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace

std::vector<Figure> buffer_reads(const TempDir& dir, const Dataset& data,
                                 const BufferReads& settings) {
  Bench bench(dir, data, settings);
  (void)bench.at_rest();  // pages of the map, caches
  std::vector<double> at_rest;
  std::vector<double> applying;
  std::vector<double> buffered;
  for (int round = 0; round < settings.rounds; ++round) {
    Measured rest;
    if (round % 2 == 0) rest = bench.at_rest();
    bench.fill();
    const Measured busy = bench.applying();
    bench.rest();
    if (round % 2 == 1) rest = bench.at_rest();
    const Measured inside = bench.buffered();
    bench.rest();
    at_rest.push_back(rest.each());
    if (busy.enough()) applying.push_back(busy.each() / rest.each());
    if (inside.enough()) buffered.push_back(inside.each() / rest.each());
  }
  tell_dropped("get while a buffer is applied", applying.size(), settings.rounds);
  tell_dropped("get of keys in the buffer", buffered.size(), settings.rounds);
  std::vector<Figure> figures{
      {"buffer_get_rest_ns", "get of keys in LMDB, at rest, ns", median(at_rest)}};
  if (!applying.empty()) {
    figures.push_back({"buffer_get_applying",
                       "get of keys in LMDB, next buffer half full, one applied / at rest",
                       median(applying)});
  }
  if (!buffered.empty()) {
    figures.push_back(
        {"buffer_get_inside", "get of keys in the buffer / in LMDB, at rest", median(buffered)});
  }
  return figures;
}

}  // namespace hyper_lmdb::bench
