// What the test does to an image beside cutting the power.
#pragma once

#include "image.h"

namespace hyper_lmdb::power {

/// The machine has booted since: a mark of this boot becomes one of another.
void boot_again(Image* image);
/// Control: the store was closed, says the mark.
void pretend_clean(Image* image);
/// Control: a journal without checksums. Whatever stands where a record should be gets ones that
/// fit.
void forge_checksums(Image* image);

}  // namespace hyper_lmdb::power
