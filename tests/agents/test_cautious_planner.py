import gymnasium as gym
import numpy as np
import pytest

import irecgan_gym  # noqa: F401
from irecgan_gym.agents.auto_planner import AutoPlanner, AutoPlannerConfig
from irecgan_gym.agents.cautious_planner import CautiousPlanner, CautiousPlannerConfig
from irecgan_gym.storage.weights import StorageError, load_weights, save_weights

SMALL = {"spreads": (0.6,), "state_spreads": (1.2,), "num_states": (4,), "move_spreads": (1.5,), "num_folds": 2}


def small(**more):
    return CautiousPlannerConfig(links=("tied",), judged_sessions=60, **SMALL, **more)


def log_of(logging_policy):
    made = gym.make("RecSim-v0", logging_policy=logging_policy, mdp_seed=1)
    return made.get_wrapper_attr("collect")(100, seed=0)


@pytest.fixture(scope="module", name="log")
def random_log():
    return log_of("random")


def test_without_caution_it_is_the_auto_planner(log):
    auto = AutoPlanner(50, 10, AutoPlannerConfig(links=("tied",), **SMALL), seed=0).learn(log)
    found = CautiousPlanner(50, 10, small(cautions=(0.0,)), seed=0).learn(log)
    assert found.caution == 0
    assert found.world.cautious is None
    for table in ("start", "weights", "successes"):
        np.testing.assert_array_equal(getattr(found.world, table), getattr(auto.world, table))
    np.testing.assert_array_equal(found.predict(50, deterministic=True)[0], auto.predict(50, deterministic=True)[0])


def test_the_more_caution_the_lower_what_is_expected_and_files_hold_it(log, tmp_path):
    bold, careful = (CautiousPlanner(50, 10, small(cautions=(caution,)), seed=0).learn(log) for caution in (0.5, 2.0))
    np.testing.assert_array_equal(bold.world.successes, careful.world.successes)
    assert (careful.world.planned < bold.world.planned).all()
    assert (bold.world.planned < bold.world.successes).all()
    assert (bold.caution, careful.caution) == (0.5, 2)
    careful.save(tmp_path / "agent.safetensors")
    loaded = CautiousPlanner.load(tmp_path / "agent.safetensors")
    np.testing.assert_array_equal(loaded.world.planned, careful.world.planned)
    np.testing.assert_array_equal(
        loaded.predict(np.full(3, 50), deterministic=True)[0], careful.predict(np.full(3, 50), deterministic=True)[0]
    )


def test_cautions_are_judged_and_the_first_is_kept_without_good_reason(log):
    recorded = {}

    class Keep:
        def record(self, values, step):
            recorded.update(values)

    agent = CautiousPlanner(50, 10, small(cautions=(0.0, 1.0)), seed=0).learn(log, recorder=Keep())
    assert set(agent.judged) == {0.0, 1.0}
    assert recorded["caution/1"] == agent.judged[1.0]
    if agent.judged[0.0] >= agent.judged[1.0]:
        assert agent.caution == 0


def test_bounds_are_completed_where_the_logger_sees_the_state():
    agent = CautiousPlanner(50, 10, small(cautions=(1.0,)), seed=0).learn(log_of("max"))
    assert agent.sees
    assert (agent.world.planned < agent.world.successes).all()


def test_a_stored_bound_that_cannot_be_is_refused(tmp_path):
    path = tmp_path / "agent.safetensors"
    made = gym.make("RecSim-v0", num_items=12, slate_size=3)
    log = made.get_wrapper_attr("collect")(60, seed=0)
    CautiousPlanner(12, 3, small(cautions=(1.0,)), seed=0).learn(log).save(path)
    arguments, tensors = load_weights(path, CautiousPlanner.kind)
    tensors["cautious"][0, 0] = 7.0
    save_weights(path, CautiousPlanner.kind, arguments, tensors)
    with pytest.raises(StorageError, match="cautious must be from 0 to 1"):
        CautiousPlanner.load(path)
