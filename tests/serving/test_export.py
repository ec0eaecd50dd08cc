import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from irecgan_gym.agents import LSTM, PG, LSTMConfig
from irecgan_gym.agents.policy_gradient import PGConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.serving import ExportedPolicy, ExportError, NamedPolicy, PolicyStep, export_onnx
from tests.frequencies import assert_counts

pytest.importorskip("onnxruntime", reason="needs the extra export")
pytest.importorskip("onnxscript", reason="needs the extra export")

N, K = 9, 3
NAMES = [f"item-{number}" for number in range(N)]


def spread(agent):
    """Parameters far enough from zero that items differ much in probability."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator))
    return agent


def agent_of(kind):
    if kind == "user model":
        return spread(LSTM(N, K, LSTMConfig(encoder=EncoderConfig(hidden_size=5, embedding_size=4)), device="cpu"))
    cell, layers, recall = {"lstm": ("lstm", 1, False), "gru": ("gru", 2, False), "recall": ("lstm", 2, True)}[kind]
    encoder = EncoderConfig(cell=cell, num_layers=layers, hidden_size=5, embedding_size=4, recall=recall)
    return spread(PG(N, K, PGConfig(encoder=encoder), seed=1, device="cpu"))


@pytest.fixture(scope="module", params=["lstm", "gru", "recall", "user model"], name="pair")
def agent_and_export(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "policy.onnx"
    agent = agent_of(request.param)
    export_onnx(agent, path, slate_size=5, item_names=NAMES)
    return agent, ExportedPolicy(path)


def test_along_sessions_the_export_is_the_agent_within_floating_point(pair):
    agent, exported = pair
    rng = np.random.default_rng(0)
    clicks, state, other = np.full(6, N), None, None
    for step in range(8):
        starts = rng.random(6) < 0.2
        clicks = np.where(starts, N, clicks)
        exclude = [rng.choice(N, size=rng.integers(4), replace=False) for _ in range(6)]
        slates, state = agent.predict(clicks, state, starts, True, k=4, exclude=exclude)
        found, other = exported.predict(clicks, other, starts, True, k=4, exclude=exclude)
        np.testing.assert_array_equal(found, slates)
        np.testing.assert_allclose(other[0], state[0], rtol=1e-4, atol=1e-5)
        clicks = slates[:, step % 4]


def test_probabilities_of_sampled_slates_are_those_of_the_agent(pair):
    agent, exported = pair
    clicks, exclude = np.arange(N + 1), [[number % N] for number in range(N + 1)]
    slates, logs, state = exported.recommend(clicks, k=4, exclude=exclude)
    excluded = [np.array(items) for items in exclude]
    with torch.no_grad():
        recurrent = agent.policy.observe(torch.tensor(clicks), agent.policy.encoder.initial_state(N + 1))
        expected = agent.policy.prefix_log_probabilities(recurrent, torch.tensor(slates), excluded=excluded)
    np.testing.assert_allclose(logs, expected.numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(state[0], recurrent.numpy(), rtol=1e-4, atol=1e-5)


def test_sampled_slates_come_as_often_as_they_say(pair):
    _, exported = pair
    number = 20_000
    exported.set_random_seed(3)
    slates, logs, _ = exported.recommend(np.full(number, N), k=2)
    said = {tuple(slate): np.exp(log[-1]) for slate, log in zip(slates.tolist(), logs, strict=True)}
    assert sum(said.values()) == pytest.approx(1.0, abs=0.02)
    counts = np.array([(slates == slate).all(axis=1).sum() for slate in said])
    assert_counts(counts, number, np.array(list(said.values())))
    exported.set_random_seed(3)
    np.testing.assert_array_equal(slates[:10], exported.predict(np.full(number, N), k=2)[0][:10])


def test_with_the_same_noise_a_draw_is_the_same(pair):
    agent, exported = pair
    noise = np.random.default_rng(1).gumbel(size=(4, N)).astype(np.float32)
    noise[:, 2] = -np.inf
    clicks, state = np.array([N, 0, 3, 4]), np.zeros((4, agent.policy.encoder.state_size), np.float32)
    step = PolicyStep(agent.policy, 5).eval()
    with torch.no_grad():
        expected = step(torch.tensor(clicks), torch.tensor(state), torch.tensor(noise))
    found = exported._run.run(
        ["slate", "log_probability", "next_state"], {"click": clicks, "state": state, "noise": noise}
    )
    np.testing.assert_array_equal(found[0], expected[0].numpy())
    assert not (found[0] == 2).any()
    np.testing.assert_allclose(found[1], expected[1].numpy(), rtol=1e-4, atol=1e-4)


def test_torch_export_takes_the_step_too(pair):
    agent, _ = pair
    step = PolicyStep(agent.policy, K).eval()
    arguments = (torch.tensor([N, 1]), torch.zeros(2, agent.policy.encoder.state_size), torch.zeros(2, N))
    program = torch.export.export(step, arguments)
    found = program.module()(*arguments)
    with torch.no_grad():
        for ours, theirs in zip(step(*arguments), found, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_the_exported_agent_is_left_as_it_was(tmp_path):
    agent = agent_of("lstm")
    before = {name: value.clone() for name, value in agent.policy.state_dict().items()}
    export_onnx(agent.policy, tmp_path / "policy.onnx")
    assert all(parameter.requires_grad for parameter in agent.policy.parameters())
    for name, value in agent.policy.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_one_session_and_a_whole_number(pair):
    agent, exported = pair
    slate, state = exported.predict(N, deterministic=True, k=2)
    np.testing.assert_array_equal(slate, agent.predict(N, deterministic=True, k=2)[0])
    assert state[0].shape == (1, agent.policy.encoder.state_size)
    assert exported.predict(np.zeros(0, int))[0].shape == (0, 5)


def test_names_in_names_out(pair):
    agent, exported = pair
    named = NamedPolicy(exported, exported.item_names)
    slates, state = named.predict([None, "item-3"], deterministic=True, k=2, exclude=[["item-1"], []])
    expected, _ = agent.predict(np.array([N, 3]), deterministic=True, k=2, exclude=[[1], []])
    assert slates.tolist() == [[NAMES[item] for item in slate] for slate in expected]
    one, _ = named.predict(slates[0, 0], (state[0][:1],), deterministic=True, exclude={"item-0"})
    assert "item-0" not in one
    assert len(one) == 5
    with pytest.raises(ValueError, match="no item 'item-9'"):
        named.predict(["item-9"])
    with pytest.raises(ValueError, match="expected a collection of names"):
        named.predict([None], exclude=["item-1"])
    with pytest.raises(ValueError, match="8 entries for 9 items"):
        NamedPolicy(agent, NAMES[:8])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observation": np.array([0.5])}, "observation must be the last clicks"),
        ({"observation": np.array([10])}, "item ids from 0 to 9"),
        ({"observation": np.array([1]), "k": 6}, "slates of up to 5 items"),
        ({"observation": np.array([1]), "exclude": [range(5)]}, "leaves 4 of 9 items"),
        ({"observation": np.array([1]), "state": (np.zeros((2, 10)),)}, r"state must have shape \(1, "),
    ],
)
def test_wrong_questions_are_refused(pair, arguments, message):
    with pytest.raises(ValueError, match=message):
        pair[1].predict(**arguments)


def test_other_files_are_refused_by_name(tmp_path):
    path = tmp_path / "policy.onnx"
    with pytest.raises(FileNotFoundError, match=r"policy\.onnx"):
        ExportedPolicy(path)
    path.write_bytes(b"\x00" * 100)
    with pytest.raises(ExportError, match=r"policy\.onnx is not a readable ONNX file"):
        ExportedPolicy(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "was not written by export_onnx"),
        ("{", "not JSON"),
        ({"format_version": 2}, "format version 2, expected 1"),
        ({"num_items": "9"}, "wrong or missing 'num_items'"),
        ({"num_items": 8}, "'noise' has the width 9, its metadata say 8"),
        ({"item_names": ["a"] * N}, "9 different names"),
    ],
)
def test_a_changed_description_is_refused(tmp_path, change, message):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "policy.onnx"
    export_onnx(agent_of("lstm"), path)
    model = onnx.load(path)
    (entry,) = (entry for entry in model.metadata_props if entry.key == "irecgan_gym")
    if change is None:
        entry.key = "other"
    else:
        entry.value = change if isinstance(change, str) else json.dumps({**json.loads(entry.value), **change})
    onnx.save(model, path)
    with pytest.raises(ExportError, match=message):
        ExportedPolicy(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slate_size": 10}, "slate_size must be from 1 to num_items=9"),
        ({"item_names": ["a"]}, "1 entries for 9 items"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        export_onnx(agent_of("lstm"), tmp_path / "policy.onnx", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_packed_weights_give_the_same_slates(tmp_path):
    export_onnx(agent_of("lstm"), tmp_path / "policy.onnx")
    plain, packed = (ExportedPolicy(tmp_path / "policy.onnx", packed=packed) for packed in (False, True))
    clicks = np.array([N, 0, 2])
    for deterministic in (True, False):
        first, second = (policy.recommend(clicks, deterministic=deterministic) for policy in (plain, packed))
        np.testing.assert_array_equal(first.slates, second.slates)
        np.testing.assert_allclose(first.log_probabilities, second.log_probabilities, atol=1e-6)


def test_an_export_runs_without_torch(tmp_path):
    export_onnx(agent_of("gru"), tmp_path / "policy.onnx")
    program = (
        "import sys, numpy as np\n"
        "from irecgan_gym.benchmarks.jobs.serve import load_served_policy\n"
        "from pathlib import Path\n"
        f"served = load_served_policy(Path({str(tmp_path / 'policy.onnx')!r}))\n"
        f"slate, state = served.policy.predict(np.array([{N}]))\n"
        "assert slate.shape == (1, 3) and 'torch' not in sys.modules and 'onnx' not in sys.modules\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
