// Catch2's main function, and one line more at its end that counts the cases.
#define CATCH_CONFIG_MAIN
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <catch2/catch.hpp>
#include <iostream>

#include "support/skip.h"

namespace {

#if CATCH_VERSION_MAJOR >= 3
using Listener = Catch::EventListenerBase;
#else
using Listener = Catch::TestEventListenerBase;
#endif

class CaseCounter : public Listener {
 public:
  using Listener::Listener;

  void testCaseStarting(const Catch::TestCaseInfo&) override {
    told_before_ = hyper_lmdb::test::skips_told;
  }
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    if (stats.totals.testCases.failed != 0) {
      ++failed_;
    } else if (hyper_lmdb::test::skips_told != told_before_) {
      ++skipped_;
    } else {
      ++passed_;
    }
  }
  void testRunEnded(const Catch::TestRunStats&) override {
    std::cout << passed_ << " passed, " << failed_ << " failed, " << skipped_ << " skipped"
              << std::endl;
  }

 private:
  int told_before_ = 0;
  int passed_ = 0;
  int failed_ = 0;
  int skipped_ = 0;
};

CATCH_REGISTER_LISTENER(CaseCounter)

}  // namespace
