// In place of rocks_cases.cpp where there is no RocksDB.
#include "core_cases.h"

namespace hyper_lmdb::bench {

bool add_rocks_cases(Stores&, const TempDir&, std::vector<Case>&) {
  return false;
}

}  // namespace hyper_lmdb::bench
