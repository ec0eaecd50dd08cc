import numpy as np
import pytest

from irecgan_gym.models.appeal import AppealConfig
from irecgan_gym.models.choice_model import ChoiceModel, ChoiceModelConfig, choose_choice_model, contexts_of
from irecgan_gym.planning.logged_steps import LoggedSteps
from tests.models.test_latent_user_model import log_of

LINKS = ["tied", "linked", "untied"]


def plain_log_likelihood(model, sessions):
    """One step after the other."""
    weights, successes = model.tables.weights, model.tables.successes
    found, last = [], sessions.num_items
    for session in sessions:
        last = sessions.num_items
        for slate, click, reward in zip(session.slates, session.clicks, session.rewards, strict=True):
            context = {"none": 0, "place": int(last != sessions.num_items), "last-click": last}[model.config.context]
            chance = weights[context, click] / weights[context, slate].sum()
            success = successes[context, click]
            found.append(np.log(chance) + np.log(success if reward else 1 - success))
            last = click
    return found


@pytest.mark.parametrize("context", ["none", "place", "last-click"])
@pytest.mark.parametrize("link", LINKS)
def test_likelihood_is_that_of_the_whole_slate(context, link):
    sessions, _ = log_of(40, num_items=12, slate_size=4)
    model = ChoiceModel.fit(sessions, ChoiceModelConfig(context, AppealConfig(link=link)))
    click, success = model.log_likelihood(sessions)
    np.testing.assert_allclose(click + success, plain_log_likelihood(model, sessions))


@pytest.mark.parametrize("link", LINKS)
def test_tables_of_a_known_user_are_recovered(link):
    sessions, mdp = log_of(20_000, num_states=1, num_items=12, slate_size=4)
    model = ChoiceModel.fit(sessions, ChoiceModelConfig("none", AppealConfig(link=link)))
    np.testing.assert_allclose(model.tables.successes[0], mdp.rewards[0], atol=0.03)
    weights, rewards = model.tables.weights[0], mdp.rewards[0]
    np.testing.assert_allclose(weights / weights.sum(), rewards / rewards.sum(), atol=0.006)


def test_the_tie_is_a_tie_and_the_link_is_learned():
    sessions, _ = log_of(5_000, num_states=1, num_items=12, slate_size=4)
    tied = ChoiceModel.fit(sessions, ChoiceModelConfig("none", AppealConfig(link="tied")))
    np.testing.assert_allclose(tied.tables.weights, tied.tables.successes)
    linked = ChoiceModel.fit(sessions, ChoiceModelConfig("none", AppealConfig(link="linked", own_spread=0.05)))
    slope = np.polyfit(np.log(linked.tables.successes[0]), linked.tables.log_weights[0], 1)[0]
    assert slope == pytest.approx(1, abs=0.15)


def test_narrow_spreads_shrink_contexts_to_the_items_mean():
    sessions, _ = log_of(300, num_items=12, slate_size=4)
    differences = []
    for spread in (0.05, 0.5, 2.0):
        appeal = AppealConfig(group_spread=spread, level_spread=0.01)
        tables = ChoiceModel.fit(sessions, ChoiceModelConfig("place", appeal)).tables
        differences.append(float(np.abs(np.diff(tables.success_logits, axis=0)).mean()))
    assert differences[0] < 0.05
    assert differences == sorted(differences)


def test_held_out_likelihood_chooses_the_spread():
    sessions, _ = log_of(600, num_items=12, slate_size=4)
    training, validation = sessions.split([0.8, 0.2], seed=0)
    chosen, reached = choose_choice_model(training, validation, ChoiceModelConfig(), (0.1, 1.0))
    means = []
    for spread in (0.1, 1.0):
        config = ChoiceModelConfig(appeal=AppealConfig(group_spread=spread))
        click, success = ChoiceModel.fit(LoggedSteps.of(training), config).log_likelihood(validation)
        means.append(float((click + success).mean()))
    assert reached == max(means)
    assert chosen.appeal.group_spread == (0.1, 1.0)[int(np.argmax(means))]


def test_contexts():
    clicks = np.array([5, 0, 3])
    assert contexts_of(clicks, 5, "none").tolist() == [0, 0, 0]
    assert contexts_of(clicks, 5, "place").tolist() == [0, 1, 1]
    assert contexts_of(clicks, 5, "last-click").tolist() == [5, 0, 3]
    with pytest.raises(ValueError, match="context"):
        ChoiceModelConfig("weather")


def test_saved_and_loaded_it_is_the_same(tmp_path):
    sessions, _ = log_of(30, num_items=12, slate_size=4)
    model = ChoiceModel.fit(sessions)
    model.save(tmp_path / "model.safetensors")
    loaded = ChoiceModel.load(tmp_path / "model.safetensors")
    assert loaded.config == model.config
    np.testing.assert_array_equal(loaded.log_likelihood(sessions), model.log_likelihood(sessions))
