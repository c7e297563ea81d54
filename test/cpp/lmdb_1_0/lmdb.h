/* Stands in for the header of LMDB 1.0, as far as the library uses what that added: shows that the
 * code for it compiles. Never linked. */
#pragma once
#pragma GCC system_header
#include_next <lmdb.h>

#undef MDB_VERSION_MAJOR
#define MDB_VERSION_MAJOR 1

extern "C" int mdb_env_set_pagesize(MDB_env* env, int size);
