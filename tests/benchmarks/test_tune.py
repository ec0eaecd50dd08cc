"""The search of settings: valid candidates, one budget and one rule for all agents, a tiny search from end to end."""

import csv
import json
from collections import Counter
from dataclasses import asdict, replace

import pytest

from irecgan_gym.agents import AGENT_NAMES, agent_class, preset
from irecgan_gym.agents.preset_file import read_preset_file
from irecgan_gym.benchmarks import search_space, tuned_preset
from irecgan_gym.benchmarks.candidate_choice import (
    choose,
    finalists,
    losses_of_choosing,
    number_of_finalists,
    scores_by_seed,
    try_finalists,
)
from irecgan_gym.benchmarks.engine.command import SettingsError, command_line
from irecgan_gym.benchmarks.engine.job import Job
from irecgan_gym.benchmarks.online_learning import OnlineLearning
from irecgan_gym.benchmarks.online_test import Streams
from irecgan_gym.benchmarks.search_space import (
    SEARCH_SPACES,
    TIED,
    Candidate,
    draw_candidates,
    tied_settings,
    with_values,
)
from irecgan_gym.benchmarks.simulated_online import SimulatedOnline
from irecgan_gym.benchmarks.tune import Tune
from irecgan_gym.ope import selection_criterion
from irecgan_gym.storage.files import from_json
from tests.benchmarks.run_folders import Measurement, table

TYPES = {name: agent_class(name).config_type for name in AGENT_NAMES}


def value_at(settings, name):
    for part in name.split("."):
        settings = getattr(settings, part)
    return settings


@pytest.mark.parametrize("agent", SEARCH_SPACES)
def test_candidates_are_valid_settings_within_the_space(agent):
    candidates = draw_candidates(agent, 40, seed=0)
    assert candidates[0].settings == preset(agent, "fast")
    assert [candidate.number for candidate in candidates] == list(range(40))
    for candidate in candidates:
        assert type(candidate.settings) is TYPES[agent]
        # What the class checks is checked again here.
        assert from_json(TYPES[agent], asdict(candidate.settings)) == candidate.settings
    for candidate in candidates[1:]:
        assert candidate.values.keys() == SEARCH_SPACES[agent].keys()
        for name, distribution in SEARCH_SPACES[agent].items():
            value = value_at(candidate.settings, name)
            if isinstance(distribution, search_space.Choice):
                assert value in distribution.options
            else:
                assert distribution.low * 0.99 <= value <= distribution.high * 1.01
    drawn = [tuple(candidate.values.values()) for candidate in candidates[1:]]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("agent", SEARCH_SPACES)
def test_the_space_holds_the_default(agent):
    for name, distribution in SEARCH_SPACES[agent].items():
        value = value_at(preset(agent, "fast"), name)
        if isinstance(distribution, search_space.Choice):
            assert value in distribution.options
        else:
            assert distribution.low <= value <= distribution.high


def test_draws_do_not_depend_on_the_number_or_on_the_agent():
    assert draw_candidates("pg", 5, seed=3) == draw_candidates("pg", 9, seed=3)[:5]
    assert draw_candidates("pg", 5, seed=3) != draw_candidates("pg", 5, seed=4)
    for pg, irecgan in zip(draw_candidates("pg", 9, seed=0), draw_candidates("irecgan", 9, seed=0), strict=True):
        assert {name: irecgan.values[name] for name in pg.values} == pg.values


def test_every_agent_is_searched_or_tied():
    assert set(SEARCH_SPACES) | set(TIED) == set(AGENT_NAMES)
    assert not set(SEARCH_SPACES) & set(TIED)
    irecgan = draw_candidates("irecgan", 2, seed=0)[1].settings
    for agent in TIED:
        settings = tied_settings(agent, irecgan)
        assert type(settings) is TYPES[agent]
        shared = asdict(settings)["irecgan"] if agent == "lstmd" else asdict(settings)
        assert shared == {key: value for key, value in asdict(irecgan).items() if key in shared}


def test_the_budget_is_the_same_for_all_agents(tmp_path):
    settings = Tune(out=tmp_path)
    grid = settings.forecast(table([]))
    assert len(set(grid)) == len(grid)
    jobs = Counter((job.agent.partition("/")[0], job.logging_policy, job.num_sessions, job.seed) for job in grid)
    of_agents = {agent: {key[1:]: n for key, n in jobs.items() if key[0] == agent} for agent in SEARCH_SPACES}
    assert all(of_agent == of_agents["pg"] for of_agent in of_agents.values())
    assert sum(of_agents["pg"].values()) == 2 * (12 + 4 * 4)
    # References for every cell and seed that candidates are tried on.
    for reference in ("random", "belief"):
        assert {key[1:] for key in jobs if key[0] == reference} == set(of_agents["pg"])


def test_seeds_of_the_search_are_never_those_of_the_experiments(tmp_path):
    searched = {job.seed for job in Tune(out=tmp_path, seeds=50).forecast(table([]))}
    assert searched == set(Tune(out=tmp_path, seeds=50).mdp_seeds)
    for experiment in (SimulatedOnline, OnlineLearning):
        assert not searched & {job.seed for job in experiment(out=tmp_path, seeds=1000).grid(table([]))}


def rows(name, rewards, seed=1000):
    return [
        Measurement(Job("tune", name, policy, 1000, seed), "reward/top-k", reward)
        for policy, reward in zip(("max", "random"), rewards, strict=True)
    ]


def test_scores_are_means_over_cells_between_random_and_belief():
    results = [
        *rows("random", (1, 2)),
        *rows("belief", (3, 6)),
        *rows("pg/0", (2, 6)),
        *rows("pg/1", (5, 2)),
        *rows("pg/2", (5, 2))[:1],
    ]
    assert scores_by_seed(table(results)) == {
        "random": {1000: 0},
        "belief": {1000: 1},
        "pg/0": {1000: pytest.approx(0.75)},
        "pg/1": {1000: pytest.approx(1)},
        "pg/2": {},
    }


def candidates_of(scores):
    candidates = [Candidate("pg", number, {}, None) for number in range(len(scores))]
    return candidates, {candidate.name: of_seed for candidate, of_seed in zip(candidates, scores, strict=True)}


def test_the_default_and_the_best_third_go_on():
    assert [number_of_finalists(number) for number in (2, 6, 7, 12)] == [2, 2, 3, 4]
    candidates, scores = candidates_of([{1000: score} for score in (0.1, 0.5, 0.9, 0.2, 0.8, 0.3, 0.4, 0.6, 0.7)])
    assert [candidate.number for candidate in finalists(candidates, scores, 1000)] == [0, 2, 4]


@pytest.mark.parametrize(
    ("gains", "chosen"),
    [
        ((0.10, 0.12, 0.08), 1),
        ((0.30, -0.10, -0.08), 0),  # Better on average, by less than the standard error.
        ((-0.10, -0.12, -0.08), 0),
        ((0.0, 0.0, 0.0), 0),
    ],
)
def test_the_default_stays_unless_the_gain_is_more_than_its_standard_error(gains, chosen):
    base = {1000: 0.5, 1001: 0.9, 1002: 0.1}
    better = {seed: score + gain for (seed, score), gain in zip(base.items(), gains, strict=True)}
    candidates, scores = candidates_of([base, better])
    trials = try_finalists(candidates, scores)
    assert trials[0].gain.mean == 0
    assert trials[1].gain.mean == pytest.approx(sum(gains) / 3)
    assert choose(trials).candidate.number == chosen


def test_the_standard_error_is_that_of_paired_differences():
    candidates, scores = candidates_of([{1000: 0.0, 1001: 5.0}, {1000: 1.0, 1001: 8.0}])
    trial = try_finalists(candidates, scores)[1]
    assert trial.gain.mean == 2
    assert trial.standard_error == pytest.approx(1)  # Differences 1 and 3: deviation sqrt(2), over sqrt(2).


TINY = {"fit.max_epochs": 2, "encoder.hidden_size": 8, "encoder.embedding_size": 8}


@pytest.fixture
def short_training(monkeypatch, tmp_path):
    """Settings of a few epochs, and a preset file of the test's own."""

    def short(agent, name):
        values = dict(TINY)
        if agent == "irecgan":
            values |= {
                "user_model_fit.max_epochs": 1,
                "rounds": 1,
                "num_rollouts": 1,
                "discriminator_fit.max_epochs": 1,
                "pre_training_d_steps": 1,
            }
        return with_values(preset(agent, name), values) if agent in ("pg", "irecgan") else preset(agent, name)

    monkeypatch.setattr(search_space, "preset", short)
    small = {"fit.learning_rate": search_space.LogUniform(1e-3, 1e-2), "gamma": search_space.Choice((0.5, 0.9))}
    monkeypatch.setattr(search_space, "SEARCH_SPACES", {"irecgan": small, "pg": small})
    file = tmp_path / "tuned.json"
    monkeypatch.setattr(tuned_preset, "preset_file", lambda name: file)
    return file


def test_a_tiny_search_from_end_to_end(tmp_path, capsys, short_training):
    arguments = ["--agents", "irecgan", "pg", "--candidates", "4", "--seeds", "2", "--logging-policy", "max"]
    arguments += ["--sessions", "30", "--eval-sessions", "20", "--jobs", "1", "--out", str(tmp_path / "run")]
    assert command_line(Tune, [*arguments, "--dry-run"]) == 0
    # 4 candidates on the first seed, 2 on the second, and 2 references on both.
    assert "jobs: 16 with 2 seeds; finished: 0" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()

    assert command_line(Tune, [*arguments, "--write"]) == 0
    output = capsys.readouterr().out
    assert "irecgan: " in output
    assert "pg: " in output
    assert "written: " in output
    with (tmp_path / "run" / "results.csv").open(newline="") as file:
        jobs = {(row["agent"], row["logging_policy"], row["seed"]) for row in csv.DictReader(file)}
    assert len(jobs) == 16
    assert {seed for _, _, seed in jobs} == {"1000", "1001"}
    assert {agent for agent, _, seed in jobs if seed == "1001"} >= {"pg/0", "irecgan/0", "random", "belief"}

    entries = read_preset_file(short_training, TYPES)
    for agent in ("irecgan", "pg"):
        chosen = entries[agent].provenance["chosen"]
        candidates = search_space.draw_candidates(agent, 4, seed=0)
        assert entries[agent].settings == candidates[chosen].settings
        assert entries[agent].provenance["mdp_seeds"] == [1000, 1001]
        assert entries[agent].provenance["candidates"] == 4
        assert {"command", "score", "default_score", "versions", "date"} <= entries[agent].provenance.keys()
    assert str(tmp_path) not in json.dumps(entries["pg"].provenance)
    assert entries["lstmd"].settings.irecgan == entries["irecgan"].settings
    assert entries["pgc"].provenance["tied_to"] == "irecgan"
    assert entries["ac"].settings == preset("ac", "tuned")

    assert command_line(Tune, [*arguments, "--dry-run"]) == 0
    assert "jobs: 16 with 2 seeds; finished: 16" in capsys.readouterr().out


def test_a_search_that_shows_no_slate_to_anybody(tmp_path, capsys, short_training):
    arguments = [
        "--agents",
        "pg",
        "--candidates",
        "3",
        "--seeds",
        "2",
        "--logging-policy",
        "random",
        "--sessions",
        "30",
    ]
    arguments += ["--eval-sessions", "20", "--jobs", "1", "--device", "cpu", "--finalists-number", "3"]
    arguments += ["--choose-by", "snlips", "--slate-propensities", "--judging-share", "0.5"]
    assert command_line(Tune, [*arguments, "--out", str(tmp_path / "run"), "--write"]) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "Scores: estimate snlips of 50% of each log" in output
    assert "What is lost by choosing by a log, beside the best candidate" in output
    with (tmp_path / "run" / "results.csv").open(newline="") as file:
        found = {(row["agent"], int(row["seed"]), row["metric"]): float(row["value"]) for row in csv.DictReader(file)}
    tried = {name: [found[name, seed, "estimate/snlips"] for seed in (1000, 1001)] for name in ("pg/0", "pg/1", "pg/2")}
    provenance = read_preset_file(short_training, TYPES)["pg"].provenance
    assert provenance["score"] == pytest.approx(sum(tried[f"pg/{provenance['chosen']}"]) / 2, abs=1e-4)
    assert "--choose-by snlips" in provenance["command"]
    # It is the estimate by those sessions that the candidate has not learned from.
    tune = Tune(out=tmp_path / "again", agents=("pg",), candidates=3, slate_propensities=True, choose_by="snlips")
    log, _ = tune.log(Job("tune", "pg/1", "random", 30, 1000))
    training, judging = log.split((0.5, 0.5), seed=Streams.of(1000).agent)
    agent = tune.new_agent("pg/1", training, Streams.of(1000).agent).learn(training)
    assert selection_criterion("snlips")(agent, judging) == pytest.approx(tried["pg/1"][0], rel=1e-5)
    assert judging.slate_propensities.estimated is False


def test_what_a_choice_loses():
    results = [
        *rows("random", (1, 2)),
        *rows("belief", (3, 6)),
        *rows("pg/0", (2, 4)),
        *rows("pg/1", (3, 3)),
        *(
            Measurement(Job("tune", name, policy, 1000, 1000), "estimate/x", value)
            for name, values in (("pg/0", (0.1, 0.2)), ("pg/1", (0.0, 0.3)))
            for policy, value in zip(("max", "random"), values, strict=True)
        ),
    ]
    cells = ("pg", "max", 1000), ("pg", "random", 1000)
    assert losses_of_choosing(table(results), "estimate/x") == dict(
        zip(cells, ({1000: 0.5}, {1000: 0.25}), strict=True)
    )
    assert losses_of_choosing(table(results), None) == dict(zip(cells, ({1000: 0.5}, {1000: 0}), strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"finalists_number": 13}, "--finalists-number must be from 2 to --candidates"),
        ({"judging_share": 1.0}, "--judging-share must be between 0 and 1"),
        ({"agents": ("pgc",)}, "--agents takes one or more of irecgan, .*lstmd, pgu, pgc take the settings of irecgan"),
        ({"agents": ("pg", "pg")}, "--agents takes one or more different values"),
        ({"candidates": 1}, "--candidates must be at least 2"),
        ({"seeds": 1}, "--seeds must be at least 2"),
        ({"sessions": (0,)}, "--sessions must be at least 1"),
        ({"env": "Nowhere-v0"}, "--env: no environment"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, message, tmp_path):
    with pytest.raises(SettingsError, match=message):
        replace(Tune(out=tmp_path), **change).check()
