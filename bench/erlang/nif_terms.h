// Terms to C++ and back, for the benchmark's NIF.
#pragma once

#include <erl_nif.h>

#include <chrono>
#include <functional>
#include <new>
#include <string_view>
#include <utility>

namespace hyper_lmdb::bench {

template <typename T>
ERL_NIF_TERM make_resource(ErlNifEnv* env, ErlNifResourceType* type, T value) {
  void* memory = enif_alloc_resource(type, sizeof(T));
  if (memory == nullptr) throw std::bad_alloc();
  new (memory) T(std::move(value));
  const ERL_NIF_TERM term = enif_make_resource(env, memory);
  enif_release_resource(memory);
  return term;
}

struct BadArgument {};

template <typename T>
auto& resource(ErlNifEnv* env, ERL_NIF_TERM term, ErlNifResourceType* type) {
  void* object = nullptr;
  if (!enif_get_resource(env, term, type, &object)) throw BadArgument{};
  T& reference = *static_cast<T*>(object);
  if (!reference) throw BadArgument{};  // closed
  return *reference;
}

inline std::size_t count(ErlNifEnv* env, ERL_NIF_TERM term) {
  unsigned long value = 0;
  if (!enif_get_ulong(env, term, &value) || value == 0) throw BadArgument{};
  return value;
}

inline std::string_view bytes_of(ErlNifEnv* env, ERL_NIF_TERM term) {
  ErlNifBinary binary;
  if (!enif_inspect_binary(env, term, &binary)) throw BadArgument{};
  return {reinterpret_cast<const char*>(binary.data), binary.size};
}

inline ERL_NIF_TERM nanoseconds(ErlNifEnv* env, const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - start;
  return enif_make_int64(env, took.count());
}

}  // namespace hyper_lmdb::bench
