// A writer with all it needs, for tests that decide themselves when its thread starts: requests
// that are queued before make one group.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "engine/journaled_engine.h"
#include "engine/mapped_engine.h"
#include "format/record.h"
#include "support/queued.h"
#include "support/test_env.h"
#include "write/writer.h"

namespace hyper_lmdb::test {

/// With a journal in `sync` and `async`, on the tree alone in map_async; nobody flushes by himself.
struct WriterRig {
  explicit WriterRig(const Settings& chosen)
      : settings(chosen),
        env(must_open(temp.path(), chosen)),
        pool(env->get(), env->reader_slots(), &buffers) {
    constexpr auto kNever = std::chrono::milliseconds(std::chrono::hours(24));
    if (settings.durability != Durability::map_async) {
      make_journal();
    } else {
      flusher = std::make_unique<Flusher>([this] { return flush_map(); }, kNever, &failed, [] {});
      tree = std::make_unique<MappedEngine>(env.get(), settings, &links, flusher.get(), &failed);
      way = tree.get();
    }
    writer = std::make_unique<Writer>(env->get(), &queue, way, &write_mutex, &failed);
  }
  ~WriterRig() {
    stop();
    pool.close();
  }

  void start() {
    if (checkpointer) must(checkpointer->start(posix_threads()) ? 0 : EAGAIN, "start checkpointer");
    must(writer->start(posix_threads()) ? 0 : EAGAIN, "start writer");
    must(flusher->start(posix_threads()) ? 0 : EAGAIN, "start flusher");
    started = true;
  }
  void stop() {
    if (std::exchange(stopped, true)) return;
    queue.close();
    writer->stop(posix_threads());
    if (journal && started) finished = outcome(journal->finish());
    if (checkpointer) checkpointer->stop(posix_threads());
    flusher->stop(posix_threads());
  }

  /// Queues a request; its answer can be waited for once the thread runs.
  Numbered& push(std::unique_ptr<Numbered> request) {
    const auto admission = queue.reserve(request->bytes);
    must(admission && admission.value() == Admission::reserved ? 0 : EAGAIN, "reserve");
    must(queue.push(request.get(), nullptr) ? 0 : EAGAIN, "push");
    requests.push_back(std::move(request));
    return *requests.back();
  }
  Numbered& push(std::vector<Op> ops) { return push(std::make_unique<Batch>(std::move(ops))); }
  Numbered& push(Request::Kind kind) {
    auto request = std::make_unique<Numbered>(0, 0);
    request->kind = kind;
    return push(std::move(request));
  }
  /// What the answers to all requests queued so far are, in order.
  std::string answers() {
    std::string all;
    for (const auto& request : requests) all += (all.empty() ? "" : ", ") + request->wait();
    requests.clear();
    return all;
  }
  std::string try_write(std::vector<Op> ops) {
    const auto done = writer->try_write(ops);
    return done ? outcome(*done) : "would wait";
  }

  /// The value at a key as a reader sees it, "nothing" where there is none.
  std::string at(std::string_view key) {
    const auto lease = pool.lease();
    if (!lease) return outcome(lease);
    const auto found = lease.value().view(env->dbi()).find(key);
    if (!found) return outcome(found);
    if (!found.value()) return "nothing";
    const auto record = decode(*found.value());
    return record ? std::string(record.value().payload) : outcome(record);
  }
  /// What the tree says of itself.
  Identity identity() const {
    auto txn = ReadTxn::begin(env->get());
    return read_identity(txn.value().get(), env->dbi()).value();
  }

  TempDir temp;
  Settings settings;
  EnvPtr env;
  std::atomic<bool> failed{false};
  BufferSet buffers{settings.write_buffer_bytes};
  ReadPool pool;
  Residency residency{Residency::Start::warm};
  Links links{{.entries = 0}, 0, {}, 0};
  RequestQueue queue{1ULL << 30};
  std::mutex write_mutex;
  std::unique_ptr<Journal> log;
  std::unique_ptr<hyper_lmdb::Checkpointer> checkpointer;
  std::unique_ptr<Flusher> flusher;
  std::unique_ptr<MappedEngine> tree;
  std::unique_ptr<JournaledEngine> journal;
  std::unique_ptr<Writer> writer;
  std::vector<std::unique_ptr<Numbered>> requests;
  std::string finished = "never";
  bool started = false;
  bool stopped = false;

 private:
  static constexpr std::uint64_t kSeed = 1;

  Result<void> flush_map() {
    if (mdb_env_sync(env->get(), 1) == 0) return {};
    return Error{.code = Code::io_error, .operation = "mdb_env_sync"};
  }
  void make_journal() {
    buffers.start(JournaledEngine::new_buffer(settings, buffers, kSeed), nullptr,
                  env->applied_seq());
    log = std::make_unique<Journal>(
        env->directory(),
        Journal::Start{.store_id = env->store_id(),
                       .last_seq = env->applied_seq(),
                       .segment_bytes = settings.write_buffer_bytes + (1 << 20),
                       .way = settings.durability == Durability::sync
                                  ? JournalSegment::Append::written
                                  : JournalSegment::Append::mapped},
        &failed);
    checkpointer =
        std::make_unique<hyper_lmdb::Checkpointer>(env.get(), &buffers, &pool, log.get(), &failed);
    flusher = std::make_unique<Flusher>([this] { return log->flush(); },
                                        std::chrono::milliseconds(std::chrono::hours(24)), &failed,
                                        [] {});
    tree = std::make_unique<MappedEngine>(env.get(), settings, &links, nullptr, &failed);
    journal = std::make_unique<JournaledEngine>(JournaledParts{.env = env.get(),
                                                               .settings = &settings,
                                                               .links = &links,
                                                               .buffers = &buffers,
                                                               .pool = &pool,
                                                               .residency = &residency,
                                                               .log = log.get(),
                                                               .checkpointer = checkpointer.get(),
                                                               .flusher = flusher.get(),
                                                               .tree = tree.get(),
                                                               .write_mutex = &write_mutex,
                                                               .failed = &failed,
                                                               .hash_seed = kSeed});
    if (!journal->start()) throw std::runtime_error("the journal does not start");
    way = journal.get();
  }

  WriteEngine* way = nullptr;
};

}  // namespace hyper_lmdb::test
