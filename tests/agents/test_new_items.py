"""Items that came after training are scored by their features, or refused by name."""

import numpy as np
import pytest

from irecgan_gym.agents import LSTM, PG, LSTMConfig, PGConfig
from irecgan_gym.agents.new_items import with_new_items
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.feature_specs import feature_specs
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.sessions import Catalogue, CatalogueError, Sessions

N, K = 12, 3
KINDS = ["good", "bad", "bad"] * (N // 3)


def log(names, kinds, seed=0, num_sessions=80):
    """Users who click the good one of three items of each list."""
    rng = np.random.default_rng(seed)
    number = len(names)
    good, bad = (np.flatnonzero(np.array(kinds) == kind) for kind in ("good", "bad"))
    slates = np.array([[rng.choice(good), *rng.permutation(bad)[: K - 1]] for _ in range(2 * num_sessions)])
    sessions = Sessions.from_columns(
        num_items=number,
        lengths=[2] * num_sessions,
        slates=rng.permuted(slates, axis=1),
        clicks=slates[:, 0],
        rewards=np.tile([0.0, 1.0], num_sessions),
        item_names=names,
    )
    return sessions.with_features(items={"kind": kinds})


NAMES = [f"item {number}" for number in range(N)]
TRAINING = log(NAMES, KINDS)
ENCODER = EncoderConfig(hidden_size=6, embedding_size=8, features=feature_specs(TRAINING, items=["kind"]))
FIT = FitConfig(max_epochs=10, learning_rate=2e-2)


@pytest.fixture(scope="module", params=["lstm", "pg"])
def agent(request):
    if request.param == "lstm":
        found = LSTM(N, K, LSTMConfig(encoder=ENCODER, fit=FIT, ending="leave"), device="cpu")
    else:
        found = PG(N, K, PGConfig(encoder=ENCODER, fit=FIT), device="cpu")
    return found.learn(TRAINING)


def test_new_items_are_ranked_by_their_features(agent, tmp_path):
    # Next week's catalogue, in another order.
    names = [f"new {number}" for number in range(6)] + NAMES[::-1]
    kinds = ["bad", "good", "bad", "good", "bad", "bad", *KINDS[::-1]]
    catalogue = Catalogue.of(names).with_features({"kind": kinds})
    larger = with_new_items(agent, catalogue)
    test = log(names[:6], kinds[:6], seed=1).reindexed(catalogue)
    with pytest.raises(CatalogueError, match="catalogues of other items"):
        agent.slate_scores(test)
    best = larger.slate_scores(test).reshape(-1, K).argmax(1)
    assert (test.slate_items.reshape(-1, K)[np.arange(len(best)), best] == test.clicks).mean() > 0.95
    # Lists of old items are ranked as they were.
    old = np.array([agent.slate_scores(TRAINING)]).reshape(-1, K)
    now = larger.slate_scores(TRAINING.reindexed(catalogue)).reshape(-1, K)
    np.testing.assert_allclose(now - now[:, :1], old - old[:, :1], atol=1e-4)
    larger.save(tmp_path / "agent.safetensors")
    loaded = type(agent).load(tmp_path / "agent.safetensors", device="cpu")
    assert loaded.catalogue.names == tuple(names)
    np.testing.assert_array_equal(loaded.slate_scores(test), larger.slate_scores(test))


@pytest.mark.parametrize(
    ("catalogue", "message"),
    [
        (Catalogue(N + 1), "that catalogue has no names"),
        (Catalogue.of([*NAMES[1:], "new"]), "1 items of the agent are not in the catalogue: 'item 0'"),
        (Catalogue.of([*NAMES, "new", "newer"]), "knows no feature of 2 items that it has not learned: 'new', 'newer'"),
        (
            Catalogue.of([*NAMES, "new", "newer"]).with_features({"kind": [*KINDS, "good", None]}),
            "knows no feature of 1 items that it has not learned: 'newer'",
        ),
    ],
)
def test_what_cannot_be_told_is_refused_by_name(agent, catalogue, message):
    with pytest.raises(CatalogueError, match=message):
        with_new_items(agent, catalogue)


def test_agents_without_features_refuse_new_items_by_name():
    plain = PG(N, K, PGConfig(fit=FitConfig(max_epochs=1)), device="cpu").learn(TRAINING)
    catalogue = Catalogue.of([*NAMES, "new"]).with_features({"kind": [*KINDS, "good"]})
    with pytest.raises(CatalogueError, match="no feature of 1 items that it has not learned: 'new'"):
        with_new_items(plain, catalogue)
