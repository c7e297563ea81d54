// A writer with all it needs, for tests that decide themselves when its thread starts: requests
// that are queued before make one group.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "support/queued.h"
#include "support/test_env.h"
#include "value.h"
#include "writer.h"

namespace hyper_lmdb::test {

struct WriterRig {
  explicit WriterRig(const Settings& chosen)
      : settings(chosen), env(must_open(temp.path(), chosen)) {
    if (env->mapped_writes()) {
      constexpr auto kNever = std::chrono::milliseconds(std::chrono::hours(24));
      flusher = std::make_unique<Flusher>(env->get(), kNever, &failed, [] {});
    }
    writer = std::make_unique<Writer>(env.get(), settings, &links, &queue, flusher.get(), &failed);
  }
  ~WriterRig() { stop(); }

  void start() {
    must(writer->start(posix_threads()) ? 0 : EAGAIN, "start writer");
    if (flusher) must(flusher->start(posix_threads()) ? 0 : EAGAIN, "start flusher");
  }
  void stop() {
    if (std::exchange(stopped, true)) return;
    queue.close();
    writer->stop(posix_threads());
    if (flusher) flusher->stop(posix_threads());
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

  /// The value at a key, "nothing" where there is none.
  std::string at(std::string_view key) const {
    auto txn = ReadTxn::begin(env->get());
    MDB_val name = to_val(key);
    MDB_val found{};
    if (!txn || mdb_get(txn.value().get(), env->dbi(), &name, &found) != 0) return "nothing";
    const auto record = decode(to_view(found));
    return record ? std::string(record.value().payload) : outcome(record);
  }

  TempDir temp;
  Settings settings;
  EnvPtr env;
  std::atomic<bool> failed{false};
  Links links{{.entries = 0}, 0, false, {}, 0};
  RequestQueue queue{1ULL << 30};
  std::unique_ptr<Flusher> flusher;
  std::unique_ptr<Writer> writer;
  std::vector<std::unique_ptr<Numbered>> requests;
  bool stopped = false;
};

}  // namespace hyper_lmdb::test
