"""Lists that users look at without a click, and go on: who learns from such sessions, and who says that they cannot."""

import numpy as np
import pytest

from irecgan_gym.agents import ChoicePlanner, PopularityPolicy
from irecgan_gym.evaluation.rankings import CoClick
from irecgan_gym.evaluation.reranking import evaluate_reranking
from irecgan_gym.models.fitting import FitConfig, fit_user_model, user_sessions
from irecgan_gym.models.user_model import UserModelConfig
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.leaving import with_leaving_step
from tests.agents.test_catalogues import small
from tests.conftest import random_sessions


def feed(seed=0, share=0.5):
    """Sessions of a feed: many lists draw no click."""
    rng = np.random.default_rng(seed)
    columns = random_sessions(rng, num_sessions=30, max_length=6).to_columns()
    skipped = rng.random(len(columns["clicks"])) < share
    columns["clicks"] = np.where(skipped, columns["num_items"], columns["clicks"])
    columns["rewards"] = np.where(skipped, 0, columns["rewards"])
    return Sessions.from_columns(**columns)


def test_skipped_steps_are_those_after_which_sessions_go_on():
    sessions = Sessions.from_columns(
        num_items=3,
        lengths=[3, 1, 2],
        slates=[[0, 1]] * 6,
        clicks=[3, 0, 3, 3, 1, 3],
        rewards=[0, 1, 0, 0, 1, 0],
        truncated=[False, True, False],
    )
    # The first user left at the end; the second one's session was cut, so that they may have gone on.
    assert sessions.skipped.tolist() == [True, False, False, True, False, False]
    assert sessions.previous_clicks.tolist() == [3, 3, 0, 3, 3, 1]
    assert with_leaving_step(sessions).num_steps == 6


@pytest.mark.parametrize("kind", ["pg", "popularity"])
def test_policies_learn_from_lists_without_clicks(kind):
    log, held_out = feed(0), feed(1)
    assert log.skipped.any()
    agent = PopularityPolicy(7, 3) if kind == "popularity" else small("pg")
    scores = agent.learn(log, held_out).slate_scores(held_out)
    assert np.isfinite(scores).all()
    assert np.isfinite(agent.slate_scores(log.select([0]))).all()
    result = evaluate_reranking(agent, held_out, deterministic=True, seed=0, at=(1,), min_list_length=3)
    assert result.num_lists == (held_out.clicks < 7).sum()


def test_user_models_refuse_what_they_have_no_alternative_for():
    log = feed()
    number, first = log.skipped.sum(), log.session_of_step[np.flatnonzero(log.skipped)[0]]
    for ending in ("leave", "reward"):
        with pytest.raises(
            ValueError,
            match=rf"{number} of {log.num_steps} steps have no click and go on \(the first in session {first}\)",
        ):
            user_sessions(log, UserModelConfig(7, 3, ending))
    with pytest.raises(ValueError, match="have no click and go on"):
        fit_user_model(log, None, UserModelConfig(7, 3, "leave"), FitConfig(max_epochs=1), device="cpu")
    with pytest.raises(ValueError, match="models of choice are for users who click at every step"):
        ChoicePlanner(7, 3).learn(log)


def test_lists_without_clicks_say_nothing_of_items_clicked_together():
    log = feed(3)
    clicked = log.clicks < log.num_items
    whole = np.flatnonzero(np.add.reduceat(clicked, log.offsets[:-1]) > 0)
    log = log.select(whole)
    clicked = log.clicks < log.num_items
    steps = np.flatnonzero(clicked)
    lengths = np.add.reduceat(clicked.astype(np.int64), log.offsets[:-1])
    bare = Sessions.from_columns(
        num_items=7,
        lengths=lengths,
        slates=log.slate_items.reshape(-1, 3)[steps],
        clicks=log.clicks[steps],
        rewards=log.rewards[steps],
    )
    scores = CoClick().learn(log).slate_scores(log).reshape(-1, 3)
    np.testing.assert_allclose(scores[steps], CoClick().learn(bare).slate_scores(bare).reshape(-1, 3), rtol=1e-6)
