// Batches that go into a write buffer, as the writer makes them.
#pragma once

#include <span>
#include <stdexcept>
#include <string>

#include "buffer/pending_batch.h"
#include "lmdb/txn.h"
#include "lmdb/version.h"
#include "support/outcome.h"
#include "support/raw_env.h"
#include "write/batch_rules.h"

namespace hyper_lmdb::test {

/// "value v", with "group" where there is a mark and "sum" where there is a checksum.
inline std::string words_of(std::string_view bytes) {
  const auto record = decode(bytes);
  if (!record) return outcome(record);
  const char* const kinds[] = {"none", "value", "link"};
  return std::string(kinds[static_cast<int>(record.value().kind)]) +
         (record.value().group ? " group " : " ") + (record.value().checksum ? "sum " : "") +
         std::string(record.value().payload);
}
inline std::string words_of(const WriteBuffer::Outcome& outcome) {
  return outcome.removed ? "removed" : words_of(outcome.record);
}

class Decider {
 public:
  explicit Decider(bool checksum = false, const RecordCounts& in_tree = {})
      : checksum_(checksum), links_({.entries = 0}, 0, in_tree, 0) {}

  /// Decides a batch and, where that works, enters it into the buffer.
  std::string write(std::span<const Op> ops) {
    links_.begin(version_ + 1);
    auto done = try_decide(ops);
    if (done && !buffer_.reserve(pending_batch_.outcomes(), pending_batch_.bytes())) {
      throw std::length_error("the test's buffer is full");
    }
    if (done) pending_batch_.insert_into(&buffer_, ++version_);
    links_.end(done.ok());
    return outcome(done);
  }

  const RawEnv& env() const { return env_; }
  const PendingBatch& pending_batch() const { return pending_batch_; }
  const Links& links() const { return links_; }
  /// What is at a key after all batches so far.
  std::string at(std::string_view key) const {
    auto txn = ReadTxn::begin(env_.get());
    const auto found = view(txn.value()).find(key);
    if (!found) return outcome(found);
    return found.value() ? words_of(*found.value()) : "nothing";
  }
  /// What the last batch came to, in order: "key: words; ".
  std::string decided(RecordCounts* counts = nullptr) const {
    std::string all;
    RecordCounts ignored;
    const auto read = read_payload(pending_batch_.payload(), max_key_bytes(env_.get()),
                                   counts != nullptr ? counts : &ignored,
                                   [&](std::string_view key, const WriteBuffer::Outcome& outcome) {
                                     all += std::string(key) + ": " + words_of(outcome) + "; ";
                                     return Result<void>();
                                   });
    return read ? all : outcome(read);
  }

 private:
  View view(const ReadTxn& txn) const {
    return View(txn.get(), env_.dbi(), version_, &buffer_, nullptr);
  }
  Result<void> try_decide(std::span<const Op> ops) {
    auto txn = ReadTxn::begin(env_.get());
    if (auto held = evaluate_checks(view(txn.value()), ops); !held) return held;
    return decide(
        view(txn.value()), &links_, [] { return std::uint64_t{0}; }, checksum_, ops,
        &pending_batch_);
  }

  RawEnv env_;
  const bool checksum_;
  Links links_;
  WriteBuffer buffer_{64 << 20, 1};
  std::uint64_t version_ = 0;
  PendingBatch pending_batch_;
};

}  // namespace hyper_lmdb::test
