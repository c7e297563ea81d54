// Version 3 of Catch2 by the name of version 2's header; in the way of includes with version 3
// only.
#pragma once

#include <catch2/catch_all.hpp>
