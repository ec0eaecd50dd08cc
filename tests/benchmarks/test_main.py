"""The console command: every job of an installed user, its help, its exit statuses, with and without the extras."""

import configparser
import importlib.util
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import pytest

from irecgan_gym.benchmarks import extras
from irecgan_gym.benchmarks.jobs import ranks
from irecgan_gym.benchmarks.main import SUBCOMMANDS, main
from irecgan_gym.kernels.memory import use_huge_pages
from irecgan_gym.readers import FORMATS as READERS
from irecgan_gym.sessions import Sessions

ROOT = Path(__file__).parents[2]


def test_help_names_every_subcommand(capsys):
    assert main([]) == main(["--help"]) == 0
    output = capsys.readouterr().out
    for name in ("read", *SUBCOMMANDS):
        assert f"\n  {name} " in output
    assert max(map(len, output.splitlines())) <= 105
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("irecgan-gym ")


def test_help_is_quick_and_loads_nothing_heavy():
    code = (
        "import sys; from irecgan_gym.benchmarks.main import main; main(['--help']); "
        "print(sorted({'torch', 'tyro', 'pandas', 'matplotlib', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: irecgan-gym {name}" in capsys.readouterr().out


def test_unknown_subcommands_and_options_are_wrong_usage(capsys):
    assert main(["fly"]) == 2
    assert "no subcommand 'fly': there are read, fit," in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["online", "--wings", "2"])
    assert ended.value.code == 2


def test_without_extras_every_command_says_what_to_install(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        extras.importlib.util, "find_spec", lambda name: None if name in ("tyro", "sb3_contrib") else find(name)
    )
    for name in SUBCOMMANDS:
        assert main([name, "--help"]) == 2
        captured = capsys.readouterr()
        wanted = "benchmarks,sb3" if name == "third-party" else "benchmarks"
        assert captured.err == f'error: this command needs more: pip install "irecgan-gym[{wanted}]"\n'
        assert captured.out == ""
    assert main(["--help"]) == 0
    with pytest.raises(SystemExit):  # Reading needs nothing but the package itself.
        main(["read", "--help"])
    assert "FORMAT" in capsys.readouterr().out


@pytest.mark.parametrize("module", ["simulated_online", "report", "throughput.profiles"])
def test_modules_of_a_checkout_say_what_to_install(tmp_path, module):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'tyro' else find(name, *more)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert done.stderr == 'error: this command needs more: pip install "irecgan-gym[benchmarks]"\n'


def test_completion_knows_subcommands_and_their_options(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--tyro-print-completion", "bash"])
    assert not ended.value.code
    script = capsys.readouterr().out
    for word in ("irecgan-gym", "throughput", "--logging-policy", "--min-list-length", *READERS):
        assert word in script, word


def test_from_sessions_to_a_deployed_agent(tmp_path, capsys):
    log, model, agent = (str(tmp_path / name) for name in ("log.parquet", "users.safetensors", "agent.safetensors"))
    small = ["--env-kwargs", '{"num_items": 12, "slate_size": 3}']
    assert main(["simulate", "--out", log, "--sessions", "60", "--policy", "max", *small]) == 0
    assert len(Sessions.load(log)) == 60
    assert main(["fit", "--data", log, "--out", model, "--ending", "reward"]) == 0
    assert "click log likelihood" in capsys.readouterr().out
    assert main(["train", "--data", log, "--out", agent, "--agent", "pg", "--seed", "1"]) == 0
    assert "policy_loss" in capsys.readouterr().err
    assert main(["evaluate", agent, "--sessions", "20", "--metrics", "ndcg@3", *small]) == 0
    output = capsys.readouterr().out
    assert "coverage@3" in output
    assert "ndcg@3" in output
    assert main(["evaluate", agent, "--data", log, "--min-list-length", "3"]) == 0
    assert "p@1" in capsys.readouterr().out
    assert main(["evaluate", agent, "--data", log]) == 2
    assert "--min-list-length 11: no list with a click is as long" in " ".join(capsys.readouterr().err.split())
    own = str(tmp_path / "own.parquet")
    users = ["--user-model", model]
    for more in (["--policy", agent, "--top", *small], ["--policy", agent, *users], users):
        assert main(["simulate", "--out", own, "--sessions", "15", *more]) == 0
        played = Sessions.load(own)
        assert (len(played), played.num_items) == (15, 12)
    first = played.clicks.copy()
    assert main(["simulate", "--out", own, "--sessions", "15", "--user-model", model]) == 0
    assert (Sessions.load(own).clicks == first).all()


def test_processes_of_torchrun_train_together_and_the_first_one_speaks_and_writes(tmp_path, monkeypatch, capsys):
    log, files = str(tmp_path / "log.parquet"), [tmp_path / name for name in ("alone", "first", "second")]
    made = gym.make("RecSim-v0", num_items=12, slate_size=3, logging_policy="max")
    made.get_wrapper_attr("collect")(20, seed=0).save(log)
    arguments = ["train", "--data", log, "--agent", "pg", "--out"]
    assert main([*arguments, str(files[0])]) == 0
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    for file, rank in zip(files[1:], (0, 1), strict=True):
        # A group of one, told that it is another: what it computes is all of it.
        monkeypatch.setattr(ranks, "data_parallel", lambda rank=rank: nullcontext(SimpleNamespace(rank=rank, size=1)))
        capsys.readouterr()
        assert main([*arguments, str(file)]) == 0
        said = capsys.readouterr()
        assert bool(said.out and said.err) == file.exists() == (rank == 0)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_wrong_values_are_one_line(tmp_path, capsys):
    (tmp_path / "no-agent.safetensors").write_text("nothing")
    for arguments, message in (
        (["plots", str(tmp_path / "nope")], "is no run folder"),
        (["throughput", "--device", "bogus", "--out", str(tmp_path / "t")], "--device: "),
        (["evaluate", str(tmp_path / "no-agent.safetensors")], "is not a safetensors file"),
        (["evaluate", str(tmp_path / "none")], "no such file"),
        (["train", "--data", str(tmp_path / "none"), "--out", "x", "--agent", "pq"], "--agents takes one or more of"),
        (["fit", "--data", str(tmp_path / "none.parquet"), "--out", "x"], "none.parquet"),
        (["simulate", "--out", str(tmp_path / "x"), "--sessions", "0"], "--sessions must be at least 1"),
        (["simulate", "--out", str(tmp_path / "no-agent.safetensors" / "x"), "--sessions", "2"], "Not a directory"),
        (["report"], "give one or more run folders"),
    ):
        assert main(arguments) == 2, arguments
        error = capsys.readouterr().err
        assert error.startswith("error: "), arguments
        assert message in error
        assert "Traceback" not in error


def test_every_folder_of_the_package_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    found = set()
    for folder in ("irecgan_gym", "agents", "benchmarks"):
        name = "irecgan_gym" if folder == "irecgan_gym" else f"irecgan_gym.{folder}"
        for file in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join((name, *file.parent.relative_to(ROOT / folder).parts)))
    assert listed == found


def test_huge_pages_are_asked_for_by_commands_and_not_by_importing(monkeypatch):
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    code = "import os, irecgan_gym.benchmarks.main; print(os.environ.get('THP_MEM_ALLOC_ENABLE'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "None"
    with monkeypatch.context() as inside:
        use_huge_pages()
        assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
        inside.setenv("THP_MEM_ALLOC_ENABLE", "0")
        use_huge_pages()
        assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
