"""The catalogue: a number means the same item in sessions, agents and models, or there is an error that says so."""

import copy
from dataclasses import replace

import numpy as np
import pytest

from irecgan_gym.sessions import Catalogue, CatalogueError, Sessions, SessionsError, concatenate
from tests.sessions.test_columns import assert_same, with_everything

WEEK = {"lengths": [2, 1], "slates": [[0, 1], [2, 0], [1, 2]], "rewards": [1, 1, 0]}


def week(names, **columns):
    """Two sessions over named items; the second user leaves without a click."""
    clicks = [1, 0, len(names)]
    return Sessions.from_columns(num_items=len(names), **WEEK, clicks=clicks, item_names=names, **columns)


def named(sessions):
    """What was shown and clicked, by name."""
    names = [*(sessions.item_names or range(sessions.num_items)), None]
    return [
        ([[names[item] for item in slate] for slate in session.slates], [names[item] for item in session.clicks])
        for session in sessions
    ]


def test_a_digest_is_of_the_names_and_their_order():
    catalogue = Catalogue.of(["tea", "cups"])
    assert len(catalogue) == catalogue.num_items == 2
    assert catalogue.digest == Catalogue.of(["tea", "cups"]).digest
    assert len(catalogue.digest) == 16
    assert len({Catalogue.of(names).digest for names in (["tea", "cups"], ["cups", "tea"], ["te", "acups"])}) == 3
    assert Catalogue(2).digest is None
    assert catalogue.positions(["cups", "milk", "tea"]).tolist() == [1, -1, 0]
    assert copy.deepcopy(catalogue) is catalogue
    with pytest.raises(SessionsError, match="item_names must differ"):
        Catalogue.of(["tea", "tea"])


def test_catalogues_agree_by_name_or_where_one_has_none_by_size():
    tea, cups = Catalogue.of(["tea", "cups"]), Catalogue.of(["cups", "tea"])
    assert tea.agrees_with(Catalogue.of(["tea", "cups"]))
    assert tea.agrees_with(Catalogue(2))
    assert Catalogue(2).agrees_with(tea)
    assert not tea.agrees_with(cups)
    assert not Catalogue(2).agrees_with(Catalogue(3))
    assert Catalogue(2).joined(tea) is tea
    assert tea.joined(Catalogue(2)) is tea


def test_another_catalogue_is_refused_by_both_their_names():
    known = Catalogue.of(["tea", "cups", "milk"])
    known.check_agrees(Catalogue(3), "the policy", "the sessions")
    with pytest.raises(CatalogueError, match=r"^the sessions have 2 items, the policy 3: catalogues of other items$"):
        known.check_agrees(Catalogue(2), "the policy", "the sessions")
    other = Catalogue.of(["tea", "honey", "milk", "a", "b", "c"])
    with pytest.raises(
        CatalogueError,
        match=rf"the sessions have 6 items, the policy 3: catalogues of other items \(digests {other.digest} and "
        rf"{known.digest}\): item 1 is 'honey' in the sessions, 'cups' in the policy; "
        r"4 only in the sessions: 'honey', 'a', 'b', ...; 1 only in the policy: 'cups'",
    ):
        known.check_agrees(other, "the policy", "the sessions")


def test_extending_keeps_the_numbers():
    catalogue = Catalogue.of(["tea", "cups"])
    assert catalogue.extended(["milk", "tea", "milk", "honey"]).names == ("tea", "cups", "milk", "honey")
    assert catalogue.extended(["tea"]) is catalogue
    with pytest.raises(CatalogueError, match="a catalogue of 2 items, without names cannot be extended"):
        Catalogue(2).extended(["tea"])


def test_reindexed_sessions_say_the_same_by_name():
    sessions = with_everything(2)
    names = list(sessions.item_names)
    other = Catalogue.of(["new", *names[::-1], "newer"])
    again = sessions.reindexed(other)
    assert again.num_items == 9
    assert again.item_names == other.names
    assert named(again) == named(sessions)
    assert [again.item_names[item] for item in again.event_items] == [names[item] for item in sessions.event_items]
    assert_same(again.reindexed(sessions.catalogue), sessions)
    assert sessions.reindexed(Catalogue.of(names)) is sessions


def test_reindexing_refuses_what_has_no_number_there():
    sessions = week(["a", "b", "c", "never shown"])
    with pytest.raises(CatalogueError, match=r"2 items of the sessions are not in the catalogue: 'b', 'c'$"):
        sessions.reindexed(Catalogue.of(["a", "never shown"]))
    assert named(sessions.select([0]).reindexed(Catalogue.of(["c", "b", "a"]))) == [
        ([["a", "b"], ["c", "a"]], ["b", "a"])
    ]
    with pytest.raises(CatalogueError, match="by name, but that catalogue has no names"):
        sessions.reindexed(Catalogue(4))
    with pytest.raises(CatalogueError, match="by name, but these sessions have no names"):
        Sessions.from_columns(num_items=3, **WEEK, clicks=[1, 0, 3]).reindexed(Catalogue.of("abc"))


def test_weeks_are_joined_by_the_names_of_items_and_users():
    first = week(["tea", "cups", "milk"], users=[0, 1], user_names=["ada", "bo"])
    second = week(["milk", "honey", "tea"], users=[1, 0], user_names=["cy", "bo"])
    both = concatenate([first, second])
    assert both.item_names == ("tea", "cups", "milk", "honey")
    assert named(both) == named(first) + named(second)
    assert both.user_names == ("ada", "bo", "cy")
    assert both.users.tolist() == [0, 1, 1, 2]
    assert_same(Sessions.from_columns(**both.to_columns()), both)


def test_users_of_two_files_are_not_the_same_for_their_numbers():
    names = [[f"{letter}{number}" for number in range(50)] for letter in "ab"]
    rng = np.random.default_rng(0)
    weeks = [
        Sessions.from_columns(
            num_items=3,
            lengths=np.ones(60, dtype=int),
            slates=np.tile([0, 1], (60, 1)),
            clicks=rng.integers(0, 2, 60),
            rewards=np.zeros(60),
            users=np.arange(60) % 51 - 1,
            user_names=users,
        )
        for users in names
    ]
    both = concatenate(weeks)
    # 60 sessions of each week: 50 users, and two sessions of somebody without a name, who may be anybody.
    assert both.statistics().num_users == 2 * (50 + 2)
    assert set(both.user_names) == {*names[0], *names[1]}
    parts = both.split((0.5, 0.5), seed=0, by="user")
    known = [set(part.users.tolist()) - {-1} for part in parts]
    assert not known[0] & known[1]
    assert sum((part.users == -1).sum() for part in parts) == 4
    assert len(np.unique(both.user_groups)) == 104
    with pytest.raises(ValueError, match="some parts name their users and others only number them"):
        concatenate([weeks[0], with_numbers(weeks[1])])


def with_numbers(sessions):
    """The sessions with users whose names are not known."""
    return Sessions.from_columns(**{**sessions.to_columns(), "user_names": None})


def test_parts_of_one_file_are_itself_again():
    sessions = with_everything(4)
    assert_same(concatenate([sessions.select(slice(0, 5)), sessions.select(slice(5, None))]), sessions)


def test_names_of_users_go_with_the_users():
    bare = replace(week(["a", "b", "c"], users=[0, 1], user_names=["ada", "bo"]), users=None)
    assert bare.user_names is None
