"""Export, serve and read the log by commands; the measurements of both."""

import asyncio
import csv

import numpy as np
import pytest

pytest.importorskip("tyro")
pytest.importorskip("onnxscript", reason="needs the extra export")
pytest.importorskip("onnxruntime", reason="needs the extra export")
uvicorn = pytest.importorskip("uvicorn", reason="needs the extra serve")

from irecgan_gym.agents import PG, ChoicePlanner, PopularityPolicy  # noqa: E402
from irecgan_gym.benchmarks.engine.command import SettingsError  # noqa: E402
from irecgan_gym.benchmarks.jobs.served_policy import load_served_policy  # noqa: E402
from irecgan_gym.benchmarks.main import main  # noqa: E402
from irecgan_gym.benchmarks.serving.latency import latency, walk  # noqa: E402
from irecgan_gym.benchmarks.serving.load import missing_from_log  # noqa: E402
from irecgan_gym.serving import Click, Start, open_service  # noqa: E402
from irecgan_gym.sessions import Sessions  # noqa: E402
from tests.serving.counting_policy import CountingPolicy, opened  # noqa: E402

NAMES = [f"item {number}" for number in range(6)]


@pytest.fixture(name="agent")
def saved_agent(tmp_path):
    PG(6, 3, seed=0, device="cpu").save(tmp_path / "agent.safetensors")
    (tmp_path / "names.txt").write_text("\n".join(NAMES) + "\n")
    return tmp_path / "agent.safetensors"


def test_an_agent_is_exported_served_and_its_log_read(agent, tmp_path, monkeypatch, capsys):
    exported, log, out = tmp_path / "policy.onnx", tmp_path / "log", tmp_path / "log.parquet"
    assert main(["export", str(agent), "--out", str(exported), "--item-names", str(tmp_path / "names.txt")]) == 0
    served = {}

    def run(app, **options):
        served.update(options)

        async def play():
            async with app.router.lifespan_context(app):
                pass

        asyncio.run(play())

    monkeypatch.setattr(uvicorn, "run", run)
    assert main(["serve", str(exported), "--log", str(log), "--port", "8123"]) == 0
    assert (served["host"], served["port"]) == ("127.0.0.1", 8123)
    assert main(["serve", str(agent), "--log", str(log)]) == 2  # the same items, without their names
    assert "another catalogue" in capsys.readouterr().err

    loaded = load_served_policy(exported)
    assert loaded.item_names == tuple(NAMES)
    service = open_service(loaded.policy, log, policy_digest=loaded.digest, item_names=loaded.item_names)
    (answer,) = service.answer([Start("a")])
    service.answer([Click("a", 0, answer.shown.items[1])])
    service.log.close()
    table = tmp_path / "log.csv"
    assert main(["served-log", str(log), "--out", str(out), "--table", str(table)]) == 0
    sessions = Sessions.load(out)
    assert sessions.item_names == tuple(NAMES)
    assert sessions.clicks.tolist() == [answer.shown.items[1]]
    with table.open() as file:
        (row,) = csv.DictReader(file)
    assert row["click"] == NAMES[answer.shown.items[1]]
    assert float(row["slate_log_probability"]) == pytest.approx(answer.shown.log_probabilities[-1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serve", "none.onnx", "--log", "log"], "no such file"),
        (["serve", "broken.onnx", "--log", "log"], "not a readable ONNX file"),
        (["serve", "agent.safetensors", "--log", "log", "--port", "0"], "--port must be from 1 to 65535"),
        (["serve", "agent.safetensors", "--log", "log", "--idle-seconds", "0"], "--idle-seconds must be positive"),
        (["serve", "agent.safetensors", "--log", "log", "--batch", "0"], "--batch must be at least 1"),
        (["serve", "agent.safetensors", "--log", "log", "--item-names", "few.txt"], "must hold 6 different names"),
        (["export", "agent.safetensors", "--out", "a.onnx", "--slate-size", "7"], "slate_size must be from 1 to"),
        (["served-log", "nothing", "--out", "a.parquet"], "no log of a server"),
    ],
)
def test_wrong_usage_is_one_line(agent, monkeypatch, capsys, words, message):
    monkeypatch.chdir(agent.parent)
    (agent.parent / "broken.onnx").write_bytes(b"\x00" * 50)
    (agent.parent / "few.txt").write_text("a\nb\n")
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_agents_without_a_state_by_clicks_are_not_served(tmp_path):
    PopularityPolicy(6, 3).save(tmp_path / "popular.safetensors")
    ChoicePlanner(6, 3).save(tmp_path / "planner.safetensors")
    own = "irecgan_gym.agents:"
    popular = load_served_policy(tmp_path / "popular.safetensors", agent_class=own + "PopularityPolicy")
    assert popular.policy.recommend(np.array([6])).slates.shape == (1, 3)
    with pytest.raises(SettingsError, match="holds a ChoicePlanner, whose state depends on more than clicks"):
        load_served_policy(tmp_path / "planner.safetensors", agent_class=own + "ChoicePlanner")


def test_answers_that_a_log_does_not_hold_are_found(tmp_path):
    service = opened(tmp_path)
    answers = service.answer([Start("a"), Click("a", 0, 4), Click("a", 1, None)])
    service.log.close()
    given = [
        {"session": "a", "step": answer.step, "ended": answer.ended}
        | ({} if answer.shown is None else {"slate": list(answer.shown.items)})
        for answer in answers
    ]
    assert missing_from_log(tmp_path, given) == []
    other = {**given[1], "slate": given[1]["slate"][::-1]}
    later = {**given[1], "step": 2}
    assert missing_from_log(tmp_path, [given[0], other, later]) == [other, later]


def test_a_walk_goes_on_with_its_clicks_and_is_timed():
    step = walk(CountingPolicy(), 6, True)
    found = latency(step, 30, 60.0)
    assert 0 < found.p50 <= found.p99
    assert found.processor >= 0
