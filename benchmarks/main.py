"""The console command ``irecgan-gym``: every job of the suite as a subcommand.

Subcommands are loaded when they are called, so that help is quick and needs nothing but the package itself. Exit
statuses are those of :mod:`irecgan_gym.benchmarks.engine.command`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from irecgan_gym.benchmarks.extras import missing

_PROG = "irecgan-gym"
_COMPLETION = "--tyro-print-completion"


class Subcommand(NamedTuple):
    """A subcommand.

    Attributes:
        place: dataclass of its settings, as ``module:class`` below ``irecgan_gym.benchmarks``.
        summary: line about it.
        extras: extras that it needs.
    """

    place: str
    summary: str
    extras: tuple[str, ...] = ("benchmarks",)


_READ = "read"
SUBCOMMANDS = {
    "fit": Subcommand("jobs.fit:Fit", "fit a user model to logged sessions and say how good it is"),
    "train": Subcommand("jobs.train:Train", "train an agent on logged sessions"),
    "evaluate": Subcommand("jobs.evaluate:Evaluate", "deploy a trained agent in an environment"),
    "simulate": Subcommand("jobs.simulate:Simulate", "play sessions of an environment or a user model into a file"),
    "simulate-many": Subcommand(
        "mass_simulation:MassSimulation", "play millions of sessions into Parquet, by all processors or a cluster"
    ),
    "export": Subcommand(
        "jobs.export:Export", "write a trained agent with its catalogue as ONNX", ("benchmarks", "export")
    ),
    "serve": Subcommand("jobs.serve:Serve", "answer sessions over HTTP, and log them", ("benchmarks", "serve")),
    "served-log": Subcommand("jobs.served_log:ServedLogJob", "read the log of a server, and save it as sessions"),
    "online": Subcommand("simulated_online:SimulatedOnline", "compare agents in a simulated environment (Figure 2)"),
    "learning": Subcommand("online_learning:OnlineLearning", "compare agents that act and learn in turn (Figure 3)"),
    "rerank": Subcommand("rerank:Rerank", "compare agents at re-ranking real logs (Table 1)"),
    "rerank-folds": Subcommand(
        "rerank_folds:RerankFolds", "compare agents at re-ranking real logs, each user tested once"
    ),
    "third-party": Subcommand(
        "third_party.experiment:ThirdParty", "compare agents of other libraries", ("benchmarks", "sb3")
    ),
    "planners": Subcommand("planners:Planners", "compare planners on learned user models with policy gradients"),
    "latent-recovery": Subcommand("latent_recovery:LatentRecovery", "fit latent-state users to known tables"),
    "latent-growth": Subcommand("latent_growth:LatentGrowth", "fit latent-state users over large catalogues"),
    "simulators": Subcommand("simulators:Simulators", "compare learned users as stand-ins for the true ones"),
    "value-bias": Subcommand("value_bias:ValueBias", "measure the biases of values by user models (§6)"),
    "ope": Subcommand("ope:OffPolicy", "compare off-policy estimators with the true value of policies"),
    "decide": Subcommand("decision.command:Decide", "say from a log whether a new policy is better"),
    "tune": Subcommand("tune:Tune", "search settings of agents"),
    "serving-latency": Subcommand(
        "serving.latency:ServingLatency", "measure the latency of exported policies", ("benchmarks", "export")
    ),
    "serving-load": Subcommand(
        "serving.load:ServingLoad", "put a server under load, kill it, and look for losses", ("benchmarks", "serve")
    ),
    "throughput": Subcommand("throughput.command:Throughput", "measure speed and memory"),
    "report": Subcommand("report.page:Report", "make one page of run folders"),
    "claims": Subcommand("claims.command:Claims", "judge the claims of the paper by run folders"),
    "plots": Subcommand("plots:Plots", "draw the figures of a run folder again"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        arguments: words of the command line; those of the process when None.

    Returns:
        The exit status.
    """
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help"):
        print(_help())
        return 0
    if name == "--version":
        from irecgan_gym import __version__

        print(_PROG, __version__)
        return 0
    if name == _READ:
        from irecgan_gym.readers.__main__ import main as read

        return read(rest)
    if name == _COMPLETION:
        return _print_completion(rest)
    if name not in SUBCOMMANDS:
        return _refuse(f"no subcommand {name!r}: there are {', '.join((_READ, *SUBCOMMANDS))}")
    if line := missing(*SUBCOMMANDS[name].extras):
        return _refuse(line)
    # Agents and metrics of the user's own are found in the folder that the command is called in.
    sys.path.insert(0, os.getcwd())
    from irecgan_gym.benchmarks.engine.command import command_line

    return command_line(_settings_of(name), rest, f"{_PROG} {name}")


def _help() -> str:
    summaries = {
        _READ: "read logs, say what was read, and save them as sessions",
        **{name: subcommand.summary for name, subcommand in SUBCOMMANDS.items()},
    }
    lines = [
        f"usage: {_PROG} SUBCOMMAND ... (--help after a subcommand shows its options)",
        "",
        *(f"  {name:<16} {summary}" for name, summary in summaries.items()),
        "",
        f"{_PROG} {_COMPLETION} bash|zsh|tcsh prints a script that completes all this in a shell.",
        "Exit status: 0 done, 1 work has failed, 2 wrong usage, 130 stopped.",
    ]
    return "\n".join(lines)


def _settings_of(name: str) -> type[Any]:
    module, _, settings = SUBCOMMANDS[name].place.partition(":")
    found: type[Any] = getattr(importlib.import_module(f"irecgan_gym.benchmarks.{module}"), settings)
    return found


def _print_completion(shells: Sequence[str]) -> int:
    if line := missing("benchmarks"):
        return _refuse(line)
    import tyro

    from irecgan_gym.benchmarks.jobs.read import ReadWords

    commands: dict[str, Callable[..., Any]] = {_READ: ReadWords} | {name: _settings_of(name) for name in SUBCOMMANDS}
    tyro.extras.subcommand_cli_from_dict(commands, prog=_PROG, args=[_COMPLETION, *shells])
    return 0


def _refuse(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
