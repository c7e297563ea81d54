defmodule Consumer.MixProject do
  use Mix.Project

  def project do
    [app: :consumer, version: "1.0.0", elixir: "~> 1.14", deps: [{:hyper_lmdb, dependency()}]]
  end

  def application, do: [extra_applications: [:logger]]

  # How to depend on the library under test is the caller's business: {:path, _} or {:git, _}.
  defp dependency do
    case System.fetch_env!("CONSUMER_DEPENDENCY") do
      "path:" <> directory -> [path: directory]
      "git:" <> url -> [git: url, branch: "main"]
    end
  end
end
