# The NIF: sees erl_nif.h and include/, never lmdb.h. Lands in priv/; that of a developer's tree, which
# is built with other options, stays there.

set(ERTS_INCLUDE_DIR "" CACHE PATH "Where erl_nif.h is; asked of erl when empty")
if(NOT ERTS_INCLUDE_DIR)
  execute_process(
    COMMAND erl -noshell -boot start_clean -eval
      "io:format(\"~ts\", [filename:join([code:root_dir(), \"erts-\" ++ erlang:system_info(version), \"include\"])]), halt()."
    OUTPUT_VARIABLE erts_include RESULT_VARIABLE erl_failed ERROR_QUIET)
  if(erl_failed)
    message(FATAL_ERROR "hyper_lmdb needs Erlang/OTP on the PATH (Debian: erlang-base)")
  endif()
  set(ERTS_INCLUDE_DIR "${erts_include}" CACHE PATH "" FORCE)
endif()
if(NOT EXISTS "${ERTS_INCLUDE_DIR}/erl_nif.h")
  message(FATAL_ERROR "hyper_lmdb needs erl_nif.h, not in ${ERTS_INCLUDE_DIR} (Debian: erlang-dev)")
endif()

# A running VM hands open stores over to a newly loaded library only when every type they are made
# of is the same: the stamp changes with any header, with the source that keeps its
# types to itself, and with the compiler.
file(GLOB layout_headers CONFIGURE_DEPENDS
  ${PROJECT_SOURCE_DIR}/include/hyper_lmdb/*.h ${PROJECT_SOURCE_DIR}/c_src/core/*/*.h
  ${PROJECT_SOURCE_DIR}/c_src/nif/*.h
  ${PROJECT_SOURCE_DIR}/c_src/core/store/registry.cpp)
set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${layout_headers})
set(layout "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} ${HYPER_LMDB_SANITIZE}")
foreach(header ${layout_headers})
  file(SHA256 ${header} digest)
  string(APPEND layout " ${digest}")
endforeach()
string(SHA256 layout "${layout}")

file(GLOB nif_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/c_src/nif/*.cpp)
add_library(hyper_lmdb_nif MODULE ${nif_sources})
target_include_directories(hyper_lmdb_nif SYSTEM PRIVATE ${ERTS_INCLUDE_DIR})
target_include_directories(hyper_lmdb_nif PRIVATE ${PROJECT_SOURCE_DIR}/c_src/nif)
target_compile_definitions(hyper_lmdb_nif PRIVATE HYPER_LMDB_LAYOUT="${layout}")
target_link_libraries(hyper_lmdb_nif PRIVATE hyper_lmdb_core hyper_lmdb_flags)
set_target_properties(hyper_lmdb_nif PROPERTIES
  PREFIX "" SUFFIX ".so" OUTPUT_NAME hyper_lmdb_nif)
if(NOT HYPER_LMDB_DEV)
  set_target_properties(hyper_lmdb_nif PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_SOURCE_DIR}/priv)
endif()
if(APPLE)
  # The VM brings the enif_ symbols; macOS wants to be told.
  target_link_options(hyper_lmdb_nif PRIVATE -undefined dynamic_lookup)
else()
  # Our threads may outlive a purge of the module: the code they run must stay mapped.
  target_link_options(hyper_lmdb_nif PRIVATE -Wl,-z,nodelete)
endif()
