"""Minari datasets: sessions are the same when read back, others' datasets of the envs read as what happened."""

import itertools
import sys
from dataclasses import replace

import gymnasium as gym
import minari
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minari.data_collector.episode_buffer import EpisodeBuffer

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.minari_exchange import read_minari, write_minari
from irecgan_gym.minari_exchange.__main__ import main
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions import SessionFeatures, Sessions, SessionsError, SlatePropensities
from irecgan_gym.sessions.leaving import with_leaving_step
from tests.sessions.test_columns import COLUMNS, assert_same, sessions_of, with_everything

# Minari advises on metadata that are missing.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:minari")


VERSIONS = itertools.count()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


@st.composite
def any_sessions(draw):
    """Sessions with any of the optional columns, of equal or ragged slates."""
    sessions = draw(st.sampled_from([with_everything, sessions_of]))(draw(st.integers(0, 1000)))
    sessions = sessions.select(slice(0, draw(st.integers(1, 4))))
    columns = ("propensities", "states", "users", "item_names", ("event_offsets", "event_items"))
    without = [name for name in columns if draw(st.booleans())]
    names = [name for entry in without for name in ([entry] if isinstance(entry, str) else entry)]
    sessions = Sessions(**{**vars(sessions), **dict.fromkeys(names)})
    if draw(st.booleans()):
        sessions = replace(sessions, features=SessionFeatures(), labels={})
    elif sessions.event_items is None:
        sessions = replace(sessions, features=replace(sessions.features, events={}))
    return with_leaving_step(sessions) if draw(st.booleans()) else sessions


def test_infos_of_features_and_labels_are_a_row_a_step():
    sessions = Sessions.from_columns(
        num_items=4, lengths=[2], slates=[3, 1, 2, 0], slate_lengths=[3, 1], clicks=[1, 4], rewards=[1, 0]
    )
    sessions = sessions.with_features(
        entries={"a/b": [5, 6, 7, 8]}, steps={"device": ["tv", None]}, users={"age": [30]}
    )
    dataset = write_minari(sessions.with_labels({"bought": [0, 1, 0, np.nan]}), "tests/features-v0")
    infos = dataset[0].infos
    np.testing.assert_array_equal(infos["entry.a%2Fb"], [[np.nan] * 3, [5, 6, 7], [8, np.nan, np.nan]])
    np.testing.assert_array_equal(infos["label.bought"], [[np.nan] * 3, [0, 1, 0], [np.nan] * 3])
    assert infos["step.device"].tolist() == [-1, 0, -1]
    assert infos["user.age"].tolist() == [30, 30, 30]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["seen"]}, "the metadata tell of 'label.seen', and the infos hold none"),
        ({"features": {}}, "the header does not describe the features"),
    ],
)
def test_features_that_are_not_there_are_refused(change, message):
    dataset = write_minari(with_everything(0).select([0, 1]), "tests/wrong-v0")
    header = dict(dataset.storage.metadata["irecgan_gym"])
    dataset.storage.update_metadata({"irecgan_gym": header | change})
    with pytest.raises(SessionsError, match=message):
        read_minari("tests/wrong-v0")


@settings(max_examples=25)
@given(any_sessions())
def test_there_and_back(sessions):
    dataset_id = f"tests/any-v{next(VERSIONS)}"
    assert_same(read_minari(write_minari(sessions, dataset_id)), sessions)
    assert_same(read_minari(dataset_id), sessions)


def test_episodes_follow_minaris_conventions():
    sessions = Sessions.from_columns(
        **COLUMNS, truncated=[False, True], propensities=[np.nan, 0.5, 1], states=[0, 2, 0]
    )
    dataset = write_minari(sessions, "tests/plain-v3", author="A. Author", code_permalink="https://example.org/code")
    assert dataset.observation_space == gym.spaces.Discrete(6)
    assert dataset.action_space == gym.spaces.MultiDiscrete([5] * 3)
    assert dataset.total_steps == 3
    first, second = dataset
    assert first.observations.tolist() == [5, 1, 3]
    assert first.actions.tolist() == [[0, 1, 2], [2, 3, 4]]
    assert all(slate in dataset.action_space for slate in first.actions)
    assert all(click in dataset.observation_space for click in first.observations)
    assert first.rewards.tolist() == [1, 0]
    assert first.terminations.tolist() == [False, True]
    assert not first.truncations.any()
    assert (second.terminations.tolist(), second.truncations.tolist()) == ([False], [True])
    np.testing.assert_array_equal(first.infos["propensity"], np.float32([np.nan, np.nan, 0.5]))
    assert first.infos["shown_in_state"].tolist() == [-1, 0, 2]
    metadata = dataset.storage.metadata
    assert metadata["author"] == {"A. Author"}
    assert metadata["code_permalink"] == "https://example.org/code"
    assert "algorithm_name" not in metadata


def test_empty_slots_of_ragged_slates_hold_an_id_of_their_own():
    sessions = Sessions.from_columns(
        num_items=4, lengths=[2], slates=[3, 1, 2, 0], slate_lengths=[3, 1], clicks=[1, 4], rewards=[1, 0]
    )
    dataset = write_minari(sessions, "tests/ragged-v0")
    assert dataset.action_space == gym.spaces.MultiDiscrete([5] * 3)
    assert dataset[0].actions.tolist() == [[3, 1, 2], [0, 4, 4]]
    assert dataset[0].infos["slate_length"].tolist() == [0, 3, 1]
    # What Minari's own functions make of it has lost the dataset's metadata, but no session.
    both = minari.combine_datasets([dataset, dataset], "tests/both-v0")
    assert_same(
        read_minari(both).select([1]), Sessions(**{**vars(sessions), "provenance": read_minari(both).provenance})
    )


@pytest.mark.parametrize("number", range(3))
def test_probabilities_of_slates_are_kept(number):
    env = gym.make("RecSim-v0", num_items=8, slate_size=3, logging_policy="mix").unwrapped
    sessions = env.collect(6, seed=number, slate_propensities=True)
    known = sessions.slate_propensities
    if number == 1:
        # Estimated ones, of which less is known, of slates of different sizes.
        sessions = with_everything(0).select(slice(0, 3))
        chances = np.random.default_rng(0).uniform(0.1, 1, sessions.num_steps)
        known = SlatePropensities.from_probabilities(sessions, chances, given="history", estimated=True)
    if number == 2:
        known = replace(known, sets=None, places=None, prefixes=np.where(known.prefixes < -3, -np.inf, known.prefixes))
    found = read_minari(write_minari(sessions.with_slate_propensities(known), f"tests/known-v{number}"))
    assert_same(found.with_slate_propensities(None), sessions.with_slate_propensities(None))
    for column in ("slate_offsets", "prefixes", "places", "inclusions", "sets"):
        np.testing.assert_array_equal(getattr(found.slate_propensities, column), getattr(known, column))
    assert (found.slate_propensities.given, found.slate_propensities.estimated) == (known.given, known.estimated)


def test_probabilities_that_cannot_be_are_refused():
    env = gym.make("RecSim-v0", num_items=8, slate_size=3, logging_policy="mix").unwrapped
    dataset = write_minari(env.collect(3, seed=0, slate_propensities=True), "tests/wrong-v0")
    header = dict(dataset.storage.metadata["irecgan_gym"])
    for about, message in (
        ({"given": "nothing", "estimated": False}, "propensities of slates: given must be one of"),
        ({"guessed": True}, "propensities of slates: .*guessed"),
    ):
        dataset.storage.update_metadata({"irecgan_gym": {**header, "slate_propensities": about}})
        with pytest.raises(SessionsError, match=message):
            read_minari("tests/wrong-v0")
    bare = write_minari(env.collect(3, seed=0), "tests/bare-v0")
    header = dict(bare.storage.metadata["irecgan_gym"])
    bare.storage.update_metadata({"irecgan_gym": {**header, "slate_propensities": {"given": "state"}}})
    with pytest.raises(SessionsError, match="the infos hold none"):
        read_minari("tests/bare-v0")


def test_a_part_of_a_dataset():
    sessions = with_everything(0)
    dataset = write_minari(sessions, "tests/whole-v0")
    part, rest = minari.split_dataset(dataset, [5, len(sessions) - 5], seed=0)
    assert_same(read_minari(part), sessions.select(part.episode_indices))
    assert_same(read_minari(rest), sessions.select(rest.episode_indices))


def test_a_part_whose_lists_are_shorter_than_those_of_the_whole():
    columns = {"num_items": 4, "lengths": [1, 2], "slates": [3, 1, 2, 0, 2, 1], "slate_lengths": [3, 1, 2]}
    sessions = Sessions.from_columns(**columns, clicks=[1, 0, 4], rewards=[1] * 3).with_labels({"bought": range(6)})
    known = SlatePropensities.from_probabilities(sessions, np.full(3, 0.5), places=np.arange(1, 7) / 6, given="history")
    dataset = write_minari(sessions.with_slate_propensities(known), "tests/shorter-v0")
    part = read_minari(dataset.filter_episodes(lambda episode: episode.id == 1))
    assert part.slate_size == 2
    assert part.labels["bought"].tolist() == [3, 4, 5]
    np.testing.assert_array_equal(part.slate_propensities.places, np.arange(4, 7) / 6)


@pytest.mark.parametrize("env_id", ["RecSim-v0", "RecSim-Planning-v0"])
def test_the_env_of_a_collected_log_is_recovered(env_id):
    env = gym.make(env_id, mdp_seed=3, num_items=12, slate_size=4, logging_policy="max").unwrapped
    sessions = env.collect(5, seed=0, max_session_steps=3)
    dataset = write_minari(sessions, "recsim/max-v0")
    assert dataset.storage.metadata["algorithm_name"] == "max"
    recovered = dataset.recover_environment()
    assert recovered.spec.id == env_id
    assert recovered.spec.max_episode_steps == 3
    assert recovered.unwrapped.mdp.digest() == env.mdp.digest()
    assert recovered.action_space == dataset.action_space
    assert recovered.observation_space == dataset.observation_space
    assert_same(recovered.unwrapped.collect(5, seed=0, max_session_steps=3), sessions)


def test_no_env_is_promised_that_would_be_another():
    collected = gym.make("RecSim-v0", mdp_seed=1).unwrapped
    own_tables = gym.make("RecSim-v0", mdp=collected.mdp).unwrapped.collect(2, seed=0)
    other_tables = {**collected.collect(2, seed=0).provenance, "mdp_sha256": "of other tables"}
    for number, sessions in enumerate([own_tables, Sessions(**{**vars(own_tables), "provenance": other_tables})]):
        with pytest.raises(ValueError, match="Environment cannot be recovered"):
            write_minari(sessions, f"recsim/other-v{number}").recover_environment()


def play(env, num_sessions, choose):
    """Play sessions and say what happened, as plain columns."""
    seen = {"slate": [], "click": [], "reward": [], "state": []}
    ends = []
    for number in range(num_sessions):
        env.reset(seed=number)
        for step in itertools.count(1):
            _, reward, terminated, truncated, info = env.step(choose())
            for name, value in (("slate", info["slate"]), ("click", info["click"]), ("reward", reward)):
                seen[name].append(value)
            seen["state"].append(info.get("shown_in_state"))
            if terminated or truncated:
                ends.append((step, not terminated))
                break
    return seen, ends


def assert_happened(sessions, seen, ends):
    np.testing.assert_array_equal(sessions.slate_items.reshape(-1, sessions.slate_size), seen["slate"])
    np.testing.assert_array_equal(sessions.clicks, seen["click"])
    np.testing.assert_array_equal(sessions.rewards, seen["reward"])
    assert list(zip(sessions.lengths, sessions.truncated, strict=True)) == ends


@pytest.mark.parametrize(("observation", "data_format"), [("click", "hdf5"), ("state", "parquet")])
def test_what_a_collector_saw_of_recsim(observation, data_format):
    env = gym.make("RecSim-v0", num_items=8, slate_size=4, max_episode_steps=3, observation=observation)
    collector = minari.DataCollector(env, record_infos=True, data_format=data_format)
    # Actions repeat items: the env shows others instead.
    env.action_space.seed(0)
    seen, ends = play(collector, 20, env.action_space.sample)
    sessions = read_minari(collector.create_dataset("recsim/collected-v0", algorithm_name="random"))
    assert any(truncated for _, truncated in ends)
    assert sessions.num_items == 8
    assert_happened(sessions, seen, ends)
    np.testing.assert_array_equal(sessions.states, seen["state"])
    assert sessions.provenance == {
        "source": "Minari",
        "dataset_id": "recsim/collected-v0",
        "env_id": "RecSim-v0",
        "logging_policy": "random",
    }


def test_what_a_collector_saw_of_a_user_model(tmp_path):
    model = UserModel.create(UserModelConfig(num_items=6, slate_size=3, ending="leave"), seed=0, device="cpu")
    model.save(tmp_path / "model.safetensors")
    env = gym.make("UserModel-v0", user_model=str(tmp_path / "model.safetensors"), max_episode_steps=4)
    collector = minari.DataCollector(env, record_infos=True)
    env.action_space.seed(0)
    seen, ends = play(collector, 20, env.action_space.sample)
    sessions = read_minari(collector.create_dataset("users/collected-v0"))
    assert 6 in seen["click"], "nobody left"
    assert_happened(sessions, seen, ends)
    assert sessions.states is None


def test_a_collector_without_infos():
    env = gym.make("RecSim-v0", num_items=8, slate_size=4)
    collector = minari.DataCollector(env)
    rng = np.random.default_rng(0)
    seen, ends = play(collector, 5, lambda: rng.permutation(8)[:4])
    assert_happened(read_minari(collector.create_dataset("recsim/distinct-v0")), seen, ends)
    play(collector, 1, lambda: np.array([3, 3, 3, 1]))
    dataset = collector.create_dataset("recsim/repeated-v0")
    with pytest.raises(
        SessionsError, match=r"item 3 is in the slate more than once \(collect with .*record_infos=True"
    ):
        read_minari(dataset)
    oracle = minari.DataCollector(gym.make("RecSim-v0", num_items=8, slate_size=4, observation="state"))
    play(oracle, 1, lambda: np.arange(4))
    with pytest.raises(SessionsError, match=r"observations must be clicks, Discrete\(9\), got Discrete\(10\)"):
        read_minari(oracle.create_dataset("recsim/oracle-v0"))


def test_no_dataset_is_overwritten_and_none_is_left_half_written(folder, monkeypatch):
    sessions = sessions_of(0)
    write_minari(sessions, "tests/first-v0")
    with pytest.raises(ValueError, match="already exists"):
        write_minari(sessions_of(1), "tests/first-v0")
    assert_same(read_minari("tests/first-v0"), sessions)
    for wrong in ("no version", "tests/name", "../name-v0", "/name-v0"):
        with pytest.raises(ValueError, match=r"must have the form \(namespace/\)name-v\(version\)"):
            write_minari(sessions, wrong)
    with pytest.raises(SessionsError, match="cannot be saved as JSON"):
        write_minari(Sessions(**{**vars(sessions), "provenance": {"seed": np.int64(0)}}), "tests/second-v0")
    with pytest.raises(SessionsError, match="needs at least one session"):
        write_minari(sessions.select([]), "tests/second-v0")
    broken = Sessions(**{**vars(sessions), "rewards": sessions.rewards.astype(object)})
    with pytest.raises(TypeError):
        write_minari(broken, "tests/second-v0")
    assert [path.name for path in (folder / "tests").iterdir() if path.is_dir()] == ["first-v0"]


def test_datasets_that_are_no_sessions_are_refused():
    sessions = sessions_of(0)
    dataset = write_minari(sessions, "tests/cut-short-v0")
    header = dataset.storage.metadata["irecgan_gym"]
    dataset.storage.update_metadata({"irecgan_gym": {**header, "num_sessions": 13}})
    with pytest.raises(SessionsError, match="was not written to its end: it has 12 of 13 sessions"):
        read_minari("tests/cut-short-v0")
    dataset.storage.update_metadata({"irecgan_gym": {**header, "format_version": 2}})
    with pytest.raises(SessionsError, match="has format version 2, expected 1"):
        read_minari("tests/cut-short-v0")
    with pytest.raises(FileNotFoundError, match="tests/none-v0 not found"):
        read_minari("tests/none-v0")

    def others(dataset_id, buffers, action_space):
        spaces = {"observation_space": gym.spaces.Discrete(5), "action_space": action_space}
        return minari.create_dataset_from_buffers(dataset_id, buffers, **spaces)

    slates = gym.spaces.MultiDiscrete([4, 4])
    ends = {"terminations": [True, True], "truncations": [False, False]}
    early = EpisodeBuffer(observations=[4, 0, 1], actions=np.array([[0, 1], [1, 2]]), rewards=[1.0, 1.0], **ends)
    with pytest.raises(SessionsError, match=r"episode 0 must end at its last step, the flags end it at \[0, 1\] of 2"):
        read_minari(others("tests/early-v0", [early], slates))
    with pytest.raises(SessionsError, match="holds no episodes"):
        read_minari(others("tests/empty-v0", [], slates))
    last = {"rewards": [1.0], "terminations": [True], "truncations": [False]}
    number = EpisodeBuffer(observations=[4, 0], actions=[0], **last)
    with pytest.raises(SessionsError, match=r"actions must be slates, MultiDiscrete\(\[n\] \* k\), got Discrete"):
        read_minari(others("tests/number-v0", [number], gym.spaces.Discrete(4)))
    short = EpisodeBuffer(observations=[4, 0], actions=np.array([[0, 1]]), infos={"click": np.array([0])}, **last)
    with pytest.raises(SessionsError, match="episode 0 must have 2 infos 'click', got 1"):
        read_minari(others("tests/short-v0", [short], slates))


def test_command(tmp_path, capsys):
    sessions = with_everything(0)
    sessions.save(tmp_path / "log.parquet")
    arguments = ["write", str(tmp_path / "log.parquet"), "tests/command-v0", "--author", "A. Author"]
    assert main(arguments) == 0
    assert main(["read", "tests/command-v0", str(tmp_path / "again.parquet")]) == 0
    assert_same(Sessions.load(tmp_path / "again.parquet"), sessions)
    capsys.readouterr()
    assert main(arguments) == 2
    assert "already exists" in capsys.readouterr().err


def test_without_minari_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(ImportError, match=r"irecgan-gym\[minari\]"):
        write_minari(sessions_of(0), "tests/none-v0")
    with pytest.raises(ImportError, match=r"irecgan-gym\[minari\]"):
        read_minari("tests/none-v0")


def test_missing_pillow_is_named_before_anything_is_written(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r'pip install "irecgan-gym\[minari\]"'):
        write_minari(sessions_of(0), "tests/pictures-v0")
    monkeypatch.undo()
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder))
    assert not (folder / "tests").exists()


def test_a_failure_of_minari_itself_is_not_in_the_way_of_the_next_try(folder, monkeypatch):
    def failing(dataset_id, *_, **__):
        (folder / dataset_id / "data").mkdir(parents=True)
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(minari, "create_dataset_from_buffers", failing)
        with pytest.raises(OSError, match="no space"):
            write_minari(sessions_of(0), "tests/again-v0")
    write_minari(sessions_of(0), "tests/again-v0")
    assert_same(read_minari("tests/again-v0"), sessions_of(0))
