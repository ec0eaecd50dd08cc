"""The ranker of trees on listwise features, and the features that agents get in its place."""

import numpy as np
import pytest

from irecgan_gym.agents import LSTMDConfig, PGConfig
from irecgan_gym.benchmarks.joining import as_json
from irecgan_gym.benchmarks.lightgbm_ranker import LightGBMRanker
from irecgan_gym.benchmarks.rerank_features import with_entries
from irecgan_gym.sessions.listwise import with_listwise_features
from tests.sessions.test_listwise import log

pytest.importorskip("lightgbm")


def test_its_scores_are_repeatable_and_need_the_same_features():
    sessions = log(0)
    ranker = LightGBMRanker(seed=0, max_trees=30, min_leaf=2)
    with pytest.raises(ValueError, match="the ranker must learn first"):
        ranker.slate_scores(sessions)
    scores = ranker.learn(sessions, log(1)).slate_scores(sessions)
    again = LightGBMRanker(seed=0, max_trees=30, min_leaf=2).learn(sessions, log(1)).slate_scores(sessions)
    np.testing.assert_array_equal(scores, again)
    assert np.isfinite(scores).all()
    bare = type(sessions).from_columns(**sessions.to_columns() | {"features": None, "times": None})
    with pytest.raises(ValueError, match=r"do not tell .*price"):
        ranker.slate_scores(bare)


def test_agents_get_the_features_of_entries_and_published_settings_stay_as_they_were():
    sessions = with_listwise_features(log(0))
    for config in (PGConfig(), LSTMDConfig()):
        assert "features" not in str(as_json(config))
        found = with_entries(config, sessions)
        encoder = found.encoder if isinstance(found, PGConfig) else found.irecgan.encoder
        assert {spec.name for spec in encoder.features} == set(sessions.features.entries)
