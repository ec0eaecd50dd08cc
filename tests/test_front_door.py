"""``import irecgan_gym as ig``: every name where it is promised, typed, and nothing loaded before it is needed."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAZY = ("irecgan_gym", "irecgan_gym.evaluation", "irecgan_gym.models", "irecgan_gym.wrappers")
PACKAGES = (*LAZY, "irecgan_gym.planning", "irecgan_gym.readers", "irecgan_gym.sessions")

USER_FILE = """
import gymnasium as gym
import irecgan_gym as ig

env = gym.make("RecSim-v0", logging_policy="max")
log: ig.Sessions = env.get_wrapper_attr("collect")(100, seed=0)
training, validation = log.split((0.8, 0.2), seed=0)
model = ig.UserModel.create(ig.UserModelConfig(num_items=log.num_items, slate_size=10), seed=0)
report = ig.fidelity(model, validation, seed=0)
agent = ig.make_agent("pg", num_items=50, slate_size=10, config=ig.preset("pg", "fast"), seed=0)
played = ig.collect(agent, "RecSim-v0", 10, seed=0)
earned = ig.evaluate_online(agent, "RecSim-v0", 10, deterministic=True, seed=0)
reveal_type(training)
reveal_type(report)
reveal_type(played)
reveal_type(earned.reward.mean)
reveal_type(ig.PG(50, 10))
reveal_type(ig.read)
reveal_type(ig.wrappers.ClickHistory)
reveal_type(ig.planning.optimal_slates)
reveal_type(ig.SequenceScore.score)
ig.no_such_name
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_there_and_listed(package):
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


@pytest.mark.parametrize("package", LAZY)
def test_type_checkers_see_what_programs_get(package):
    """The imports under TYPE_CHECKING bind the same objects as the lazy ones, and no others."""
    module = importlib.import_module(package)
    tree = ast.parse(Path(module.__file__).read_text())
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = set()
    for node in guarded.body:
        for alias in node.names:
            if node.module == package:
                assert importlib.import_module(f"{package}.{alias.name}") is getattr(module, alias.name)
            else:
                assert getattr(importlib.import_module(node.module), alias.name) is getattr(module, alias.name)
            seen.add(alias.name)
    eager = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module.startswith("irecgan_gym.") and "_lazy" not in node.module
        for alias in node.names
    }
    assert seen | eager == set(module.__all__)


@pytest.mark.parametrize(
    "program",
    [
        "import irecgan_gym as ig; ig.Sessions, ig.read, ig.TableColumns, ig.RecommendationMDP, ig.collect, dir(ig)",
        "import irecgan_gym as ig; ig.planning.optimal_slates(ig.draw_mdp(3, 5), 2)",
        "import irecgan_gym as ig; ig.wrappers.ClickHistory, ig.evaluate_online, ig.evaluate_reranking",
        "import gymnasium, irecgan_gym; gymnasium.make('RecSim-v0').unwrapped.collect(3, seed=0)",
    ],
)
def test_torch_is_not_loaded_before_it_is_needed(program):
    subprocess.run([sys.executable, "-c", f"{program}\nimport sys\nassert 'torch' not in sys.modules"], check=True)


def test_a_users_file_passes_strict_type_checking(tmp_path):
    pytest.importorskip("mypy")
    # The tree as it is installed.
    package = tmp_path / "site" / "irecgan_gym"
    package.mkdir(parents=True)
    for source in [*(ROOT / "irecgan_gym").iterdir(), ROOT / "agents"]:
        if source.name != "__pycache__":
            (package / source.name).symlink_to(source)
    (tmp_path / "program.py").write_text(USER_FILE)
    result = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "program.py"),
            *("--cache-dir", str(ROOT / ".mypy_cache" / "front_door"), "--ignore-missing-imports"),
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(package.parent)},
        capture_output=True,
        text=True,
    )
    errors = [line for line in result.stdout.splitlines() if ": error: " in line]
    assert len(errors) == 1, result.stdout
    assert 'Module has no attribute "no_such_name"' in errors[0]
    types = [line.partition("Revealed type is ")[2] for line in result.stdout.splitlines() if "Revealed" in line]
    for revealed, expected in zip(
        types,
        (
            "Sessions",
            "Fidelity",
            "Sessions",
            "float",
            "PG",
            "def (path: ",
            "ClickHistory",
            "StateSlates",
            "Tensor",
        ),
        strict=True,
    ):
        assert expected in revealed
        assert revealed != "Any"
