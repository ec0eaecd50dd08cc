"""Features in networks: how they become numbers, where they count, and that nothing changes without them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from irecgan_gym.agents import LSTM, PG, IRecGAN, IRecGANConfig, LSTMConfig, PGConfig
from irecgan_gym.envs.user_model_device import UsersOnDevice
from irecgan_gym.envs.user_model_vector import UserModelVectorEnv
from irecgan_gym.models.batches import SessionTensors
from irecgan_gym.models.building import build
from irecgan_gym.models.discriminator import Discriminator, DiscriminatorConfig
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.feature_inputs import FeatureInputs
from irecgan_gym.models.feature_specs import FeatureSpec, feature_specs
from irecgan_gym.models.features import NumberInputs
from irecgan_gym.models.fitting import FitConfig, fit_user_model
from irecgan_gym.models.log_knowledge import take_log
from irecgan_gym.models.slate_policy import SharedHead, SlatePolicy
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions import FeatureColumn, Sessions
from tests.conftest import random_sessions

N, K = 7, 3
SMALL = EncoderConfig(hidden_size=6, embedding_size=5)


def log(seed=0, **options):
    """Random sessions with a feature of every kind and scope."""
    rng = np.random.default_rng(seed)
    sessions = random_sessions(rng, num_items=N, slate_size=K, leave=True, **options)
    return sessions.with_features(
        items={"kind": ["a", "b", None, "a", "c", "b", "a"], "text": rng.normal(size=(N, 2))},
        entries={
            "price": np.where(
                rng.random(len(sessions.slate_items)) < 0.2, np.nan, rng.normal(5, 3, len(sessions.slate_items))
            )
        },
        steps={"device": [("m", "d")[one] for one in rng.integers(0, 2, sessions.num_steps)]},
        users={"age": rng.integers(20, 60, len(sessions))},
    )


def specs(sessions):
    return feature_specs(sessions, items=["kind", "text"], entries=["price"], steps=["device"], users=["age"])


def with_features(sessions):
    return replace(SMALL, features=specs(sessions))


def inputs_of(spec, values):
    """What a linear layer gets of one feature."""
    layer = build(lambda: NumberInputs((spec,)), torch.Generator())
    column = None if values is None else FeatureColumn.of(values)
    return layer(torch.from_numpy(spec.numbers(column, 2 if column is None else len(column)))).numpy()


def test_numbers_are_standardised_and_go_through_intervals():
    values = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    spec = FeatureSpec.of("entries", "x", FeatureColumn.of(values))
    assert (spec.center, spec.kind, spec.width) == ((2.5,), "number", 1)
    np.testing.assert_allclose(spec.scale, [np.std([1, 2, 3, 4])])
    spec = replace(spec, edges=(1.0, 2.0, 4.0))
    root = np.std([1, 2, 3, 4])
    expected = [[0.5 / root, 1, 1, 0.5], [0, 0, 0, 0], [-2.5 / root, 1, 0, 0], [5, 1, 1, 1]]
    np.testing.assert_allclose(inputs_of(spec, np.array([3.0, np.nan, 0.0, 1e9])), expected, rtol=1e-6)
    assert (inputs_of(spec, None) == 0).all()
    constant = FeatureSpec.of("steps", "x", FeatureColumn.of(np.full(3, 7.0)))
    np.testing.assert_array_equal(inputs_of(constant, np.array([7.0, 8.0])), [[0, 1], [1, 1]])
    vector = FeatureSpec.of("items", "x", FeatureColumn.of([[1.0, 0.0], [3.0, 2.0], [np.nan, 9.0]]))
    np.testing.assert_array_equal(inputs_of(vector, [[1.0, 4.0], [2.0, np.nan]]), [[-1, 3, 1], [0, 0, 0]])


def test_categories_are_known_by_name():
    spec = FeatureSpec.of("steps", "x", FeatureColumn(np.array([2, 0, -1]), ("a", "never", "c")))
    assert spec.categories == ("a", "c")
    assert spec.codes(FeatureColumn.of(["c", "new", None, "a"]), 4).tolist() == [2, 0, 0, 1]
    assert spec.codes(None, 2).tolist() == [0, 0]
    with pytest.raises(
        ValueError, match="'x' of steps is a number of width 1 in these sessions, a category of width 1"
    ):
        spec.codes(FeatureColumn.of([1.0]), 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"center": ()}, "needs 1 centers and as many positive scales"),
        ({"scale": (0.0,)}, "needs 1 centers and as many positive scales"),
        ({"edges": (1.0, 1.0)}, "must ascend"),
        ({"kind": "vector", "edges": (1.0, 2.0)}, "is a vector: it has no edges"),
        ({"kind": "sound"}, "kind must be 'category', 'number' or 'vector'"),
        ({"width": 0}, "width must be at least 1"),
    ],
)
def test_senseless_specs_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(FeatureSpec("steps", "x", "number", center=(0.0,), scale=(1.0,)), **changes)


def test_features_must_be_there_and_different():
    with pytest.raises(ValueError, match=r"no feature 'color' of items, they have \['kind', 'text'\]"):
        feature_specs(log(), items=["color"])
    twice = feature_specs(log(), items=["kind"]) * 2
    with pytest.raises(ValueError, match="features must differ"):
        EncoderConfig(features=twice)


def one_by_one(model, sessions):
    """Log-probability of each click, step by step with the recurrent state."""
    encoder, result = model.encoder, []
    data = SessionTensors(sessions, leave_option=model.leave_option)
    for number in range(len(sessions)):
        batch = data.batch(np.array([number]))
        vectors = encoder.step_features(batch.features.steps(encoder.step_features.specs, batch.steps))
        state = encoder.initial_state(1)
        for step in range(len(batch.steps)):
            # The context of the step in place of the unknown one.
            model.encoder.step_features.at = lambda contexts, step=step, vectors=vectors: vectors[[step]]
            state = encoder.step(batch.previous_clicks[[step]], state)
            entries = batch.features.entries(model.entries.specs, batch.steps[[step]], batch.slates.shape[1])
            logits = model.click_logits(encoder.output(state), batch.slates[[step]])
            logits = logits - model.entries.usual[batch.slates[[step]]]
            logits = logits + model.entries(entries) * (batch.slates[[step]] < N)
            logits = logits.masked_fill(~batch.slate_mask[[step]], -torch.inf)
            place = int((batch.slates[step] == batch.clicks[step]).nonzero()[0, 0])
            result.append(float(logits.log_softmax(-1)[0, place]))
    return result


@pytest.mark.parametrize("recall", [False, True])
@torch.no_grad()
def test_whole_sessions_are_those_of_single_steps(recall):
    sessions = log(ragged=True)
    encoder = replace(with_features(sessions), recall=recall)
    model = UserModel.create(UserModelConfig(N, K, "leave", encoder), seed=0, device="cpu")
    take_log(model, sessions)
    batches = SessionTensors(sessions, leave_option=True).all(1)
    likelihood = torch.cat([model.log_likelihood(batch).click for batch in batches])
    whole = SessionTensors(sessions, leave_option=True).batch(np.arange(len(sessions)))
    together = torch.empty(sessions.num_steps)
    together[whole.steps] = model.log_likelihood(whole).click
    torch.testing.assert_close(together, likelihood)
    torch.testing.assert_close(likelihood, torch.tensor(one_by_one(model, sessions)))


@torch.no_grad()
def test_each_feature_counts_in_what_it_is_said_to():
    sessions = log()
    model = UserModel.create(UserModelConfig(N, K, "leave", with_features(sessions)), seed=0, device="cpu")
    judge = Discriminator.create(DiscriminatorConfig(N, with_features(sessions)), seed=0, device="cpu")
    policy = build(lambda: SlatePolicy(N, K, with_features(sessions)), torch.Generator().manual_seed(0))
    assert isinstance(policy.head, SharedHead)

    def results(changed):
        for network in (model, judge, policy):
            take_log(network, changed)
        batch = SessionTensors(changed, leave_option=True).batch(np.arange(len(changed)))
        plain = SessionTensors(changed, leave_option=False).batch(np.arange(len(changed)))
        return (
            model.log_likelihood(batch).click.sum(),
            judge.logits_real_is_high(batch).sum(),
            policy.click_log_probabilities(plain).sum(),
        )

    first = results(sessions)
    other = {
        "items": {"kind": ["c"] * N},
        "entries": {"price": np.arange(len(sessions.slate_items))},
        "steps": {"device": ["m"] * sessions.num_steps},
        "users": {"age": np.full(len(sessions), 50)},
    }
    for scope, columns in other.items():
        found = results(sessions.with_features(**{scope: columns}))
        same = [bool(torch.isclose(one, two)) for one, two in zip(first, found, strict=True)]
        # Generated sessions have no contexts: the discriminator must not look at those of real ones.
        assert same == [False, scope != "items", False], scope


def test_users_of_the_model_live_in_contexts_of_the_log():
    sessions = log()
    model = UserModel.create(UserModelConfig(N, K, "leave", with_features(sessions)), seed=0, device="cpu")
    take_log(model, sessions)
    env = UserModelVectorEnv(40, user_model=model)
    env.reset(seed=1)
    states = env.recurrent_states()
    assert len(np.unique(states[:, -2])) > 5  # Sessions of the log
    assert set(states[:, -2].tolist()) <= set(range(len(sessions)))
    assert (states[:, -1] == 1).all()
    env.step(np.tile(np.arange(K), (40, 1)))
    assert (env.recurrent_states()[:, -1] == 2).all()
    assert (env.recurrent_states()[:, -2] == states[:, -2]).all()
    device = UsersOnDevice(40, model, 5)
    device.reset(seed=1)
    torch.testing.assert_close(device._states, states)
    unknown = model.encoder.start(1)[0]
    assert unknown[-2] == 256
    encoder = model.encoder.step_features
    vectors = encoder.at(torch.tensor([[2.0, 0.0], [2.0, 1.0], [2.0, 99.0], [256.0, 0.0]]))
    batch = SessionTensors(sessions, leave_option=True).batch(np.array([2]))
    logged = encoder(batch.features.steps(encoder.specs, batch.steps))
    torch.testing.assert_close(vectors[:3], logged[[0, min(1, len(logged) - 1), len(logged) - 1]])
    assert (vectors[3] == 0).all()


@torch.no_grad()
def test_items_are_simulated_as_they_were_shown_on_average():
    sessions = log()
    model = UserModel.create(UserModelConfig(N, K, "leave", with_features(sessions)), seed=0, device="cpu")
    take_log(model, sessions)
    spec = [spec for spec in model.encoder.config.features if spec.scope == "entries"]
    terms = []
    for entry in range(len(sessions.slate_items)):
        inputs = torch.from_numpy(spec[0].numbers(sessions.features.entries["price"].take(slice(entry, entry + 1)), 1))
        terms.append(float(model.entries(FeatureInputs(inputs, torch.zeros(1, 0, dtype=torch.int64)))))
    for item in range(N):
        mean = np.mean(np.array(terms)[sessions.slate_items == item])
        assert float(model.entries.usual[item]) == pytest.approx(mean, abs=1e-5)
    assert float(model.entries.usual[N]) == 0
    hidden = model.encoder.output(model.encoder.start(1))
    every = torch.arange(N)[None]
    torch.testing.assert_close(model.catalogue_click_logits(hidden), model.click_logits(hidden, every))


def clicks_by_price(num_sessions=150, seed=0):
    """Users who click the cheapest of three unknown items, whose ids say nothing."""
    rng = np.random.default_rng(seed)
    slates = np.array([rng.permutation(30)[:3] for _ in range(num_sessions * 2)])
    prices = rng.random(slates.shape)
    clicks = slates[np.arange(len(slates)), prices.argmin(1)]
    sessions = Sessions.from_columns(
        num_items=30,
        lengths=[2] * num_sessions,
        slates=slates,
        clicks=clicks,
        rewards=np.tile([0.0, 1.0], num_sessions),
    )
    return sessions.with_features(entries={"price": prices.reshape(-1)})


@pytest.mark.parametrize(("agent_type", "config_type"), [(LSTM, LSTMConfig), (PG, PGConfig)])
def test_agents_learn_what_only_features_tell(agent_type, config_type, tmp_path):
    training, test = clicks_by_price(), clicks_by_price(40, seed=1)
    found = {}
    for name, encoder in (
        ("plain", SMALL),
        ("features", replace(SMALL, features=feature_specs(training, entries=["price"]))),
    ):
        settings = {"ending": "leave"} if agent_type is LSTM else {}
        config = config_type(encoder=encoder, fit=FitConfig(max_epochs=8, learning_rate=1e-2), **settings)
        agent = agent_type(30, 3, config, seed=0, device="cpu").learn(training)
        best = agent.slate_scores(test).reshape(-1, 3).argmax(1)
        found[name] = float((test.slate_items.reshape(-1, 3)[np.arange(len(best)), best] == test.clicks).mean())
    assert found["features"] > 0.9
    assert found["plain"] < 0.6
    agent.save(tmp_path / "agent.safetensors")
    loaded = agent_type.load(tmp_path / "agent.safetensors", device="cpu")
    assert loaded.config == agent.config
    np.testing.assert_array_equal(loaded.slate_scores(test), agent.slate_scores(test))


def test_irecgan_learns_with_features_of_all_kinds(tmp_path):
    sessions = log(num_sessions=20).with_rewards(np.ones(log(num_sessions=20).num_steps))
    config = IRecGANConfig(
        encoder=with_features(sessions),
        ending="leave",
        rounds=1,
        fit=FitConfig(max_epochs=1),
        user_model_fit=FitConfig(max_epochs=1),
        pre_training_d_steps=1,
        num_rollouts=1,
    )
    agent = IRecGAN(N, K, config, seed=0, device="cpu").learn(sessions)
    slates, _ = agent.predict(np.array([N, N]), None, np.ones(2, dtype=bool))
    assert slates.shape == (2, K)
    agent.save(tmp_path / "agent.safetensors")
    loaded = IRecGAN.load(tmp_path / "agent.safetensors", device="cpu")
    np.testing.assert_array_equal(loaded.slate_scores(sessions), agent.slate_scores(sessions))
    model = fit_user_model(
        sessions,
        sessions,
        UserModelConfig(N, K, "leave", with_features(sessions)),
        FitConfig(max_epochs=1),
        device="cpu",
    )
    model.save(tmp_path / "user.safetensors")
    again = UserModel.load(tmp_path / "user.safetensors", device="cpu")
    batch = SessionTensors(sessions, leave_option=True).batch(np.arange(5))
    torch.testing.assert_close(again.log_likelihood(batch).click, model.log_likelihood(batch).click)
