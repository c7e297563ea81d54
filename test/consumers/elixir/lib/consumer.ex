# What a first program does with a store; a wrong answer is a MatchError.
defmodule Consumer do
  def main do
    options = %{name: System.fetch_env!("CONSUMER_STORE")}
    {:ok, store} = :hyper_lmdb.start(options)
    :ok = :hyper_lmdb.put(store, "a", "1")
    {:ok, "1"} = :hyper_lmdb.get(store, "a")
    :not_found = :hyper_lmdb.get(store, "b")

    :ok =
      :hyper_lmdb.batch_write(store, [{:check, "a", "1"}, {:put, "b", "2"}, {:delete, "a"}])

    {:error, {:check_failed, 2}} =
      :hyper_lmdb.batch_write(store, [{:put, "c", "3"}, {:check, "a", "1"}])

    :ok = :hyper_lmdb.stop(store)
    {:ok, again} = :hyper_lmdb.start(options)

    {:ok, [{"a", :not_found}, {"b", {:ok, "2"}}, {"c", :not_found}]} =
      :hyper_lmdb.read_many(again, ["a", "b", "c"])

    :ok = :hyper_lmdb.stop(again)

    children = [{:hyper_lmdb, name: options.name, durability: :sync}]
    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
    {:ok, "2"} = :hyper_lmdb.get(options, "b")
    :ok = Supervisor.stop(supervisor)
    {:error, :not_started} = :hyper_lmdb.get(options, "b")
    IO.puts("consumer: every answer was right")
  end
end
