"""Measures of recommendation: what is in lists and where the click is, with intervals of means; and metrics by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from irecgan_gym.sessions import Sessions


def coverage_at_r(slates: ArrayLike, states: ArrayLike, rewards: ArrayLike) -> NDArray[np.float64]:
    """Coverage@r for r = 1..k (§7.1): the share of a state's r best items that are in the slate.

    Args:
        slates: items shown at the M steps visited, [M, k].
        states: true state at each step, [M].
        rewards: true rewards of the MDP, [m, n]; equal rewards are ranked by item id.

    Returns:
        Mean over all steps, [k]; 1 where the slate holds all of the r best.
    """
    shown, table = np.asarray(slates), np.asarray(rewards)
    ranks = np.empty(table.shape, dtype=np.int64)
    order = np.argsort(-table, axis=1, kind="stable")
    np.put_along_axis(ranks, order, np.arange(table.shape[1])[None], axis=1)
    shown_ranks = ranks[np.asarray(states)[:, None], shown]
    num_steps, k = shown.shape
    found = np.bincount(shown_ranks.reshape(-1), minlength=k)[:k].cumsum()
    coverage: NDArray[np.float64] = found / (num_steps * np.arange(1, k + 1))
    return coverage


def click_ranks(sessions: Sessions, scores: ArrayLike, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rank of the clicked item when each logged slate is sorted by score, 0 for the best; [T].

    Items of equal score are in random order, so that a constant score ranks the click anywhere in its list, and
    never first by default.

    Args:
        sessions: logged sessions; steps without a click have rank -1.
        scores: a number for each entry of ``sessions.slate_items``, [L].
        rng: breaks ties.

    Raises:
        ValueError: scores of a wrong shape, or not all of them numbers.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != sessions.slate_items.shape:
        raise ValueError(f"scores must have shape {sessions.slate_items.shape}, got {values.shape}")
    if np.isnan(values).any():
        raise ValueError(f"scores[{np.flatnonzero(np.isnan(values))[0]}] is not a number")
    step = sessions.step_of_entry
    is_click = sessions.slate_items == sessions.clicks[step]
    of_click = np.zeros(sessions.num_steps)
    of_click[step[is_click]] = values[is_click]
    starts = sessions.slate_offsets[:-1]
    better = np.add.reduceat((values > of_click[step]).astype(np.int64), starts)
    equal = np.add.reduceat((values == of_click[step]).astype(np.int64), starts)
    clicked = sessions.clicks < sessions.num_items
    return np.where(clicked, better + rng.integers(np.where(clicked, equal, 1)), -1)


class Interval(NamedTuple):
    """A mean and its confidence interval.

    Attributes:
        mean: the estimate.
        low: lower end.
        high: upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2


def mean_interval(values: ArrayLike, clusters: ArrayLike | None = None, confidence: float = 0.95) -> Interval:
    """A mean with Student's t interval, which stays honest for a handful of values.

    Args:
        values: [M].
        clusters: a number for each value; values of one cluster (the steps of a session) may depend on each other.
            Each value is its own cluster when left out.
        confidence: probability that the interval holds the mean.

    Returns:
        The interval, with as many degrees of freedom as there are clusters less one; NaN ends when there are fewer
        than two clusters.

    Raises:
        ValueError: no values, or a confidence out of range.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    data = np.asarray(values, dtype=np.float64)
    if data.size == 0:
        raise ValueError("a mean needs at least one value")
    mean = float(data.mean())
    group = np.arange(data.size) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    count = int(group.max()) + 1
    if count < 2:
        return Interval(mean, float("nan"), float("nan"))
    # The mean is a ratio of sums over clusters; these are the residuals of its linear approximation.
    residuals = np.bincount(group, weights=data - mean)
    error = float(np.sqrt((residuals**2).sum() * count / (count - 1)) / data.size)
    half_width = float(stdtrit(count - 1, (1 + confidence) / 2)) * error
    return Interval(mean, mean - half_width, mean + half_width)


def precision_at_k(
    sessions: Sessions, ranks: NDArray[np.integer[Any]], k: int, *, min_list_length: int = 11
) -> Interval:
    """p@k of §7.2: how often the clicked item is among the first k of its re-ranked list.

    With one click a list this is what others call the hit rate. The interval is clustered by user, or by session where
    users are not known.

    Args:
        sessions: logged sessions.
        ranks: from :func:`click_ranks`, [T].
        k: how many places count.
        min_list_length: shorter lists are not counted. The authors count lists of more than 10 items, for every k; on
            lists of k items or fewer p@k is 1 whatever the ranking.

    Raises:
        ValueError: no list is long enough.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    counted = counted_lists(sessions, ranks, min_list_length)
    return mean_interval(ranks[counted] < k, clusters=_users(sessions)[counted])


def mean_reciprocal_rank(sessions: Sessions, ranks: NDArray[np.integer[Any]], *, min_list_length: int = 11) -> Interval:
    """Mean of 1 / (place of the click, from 1); arguments, interval and errors as in :func:`precision_at_k`."""
    counted = counted_lists(sessions, ranks, min_list_length)
    return mean_interval(1 / (1 + ranks[counted]), clusters=_users(sessions)[counted])


def counted_lists(sessions: Sessions, ranks: NDArray[np.integer[Any]], min_list_length: int) -> NDArray[np.bool_]:
    """The steps that count in a ranking measure: a click on a list of at least ``min_list_length`` items; bool [T].

    Raises:
        ValueError: no list counts.
    """
    counted: NDArray[np.bool_] = (ranks >= 0) & (sessions.slate_lengths >= min_list_length)
    if not counted.any():
        raise ValueError(f"no slate with a click holds at least {min_list_length} items")
    return counted


def _users(sessions: Sessions) -> NDArray[np.integer[Any]]:
    """The user of each step, [T]; every session a user of its own where they are not known."""
    return sessions.user_groups[sessions.session_of_step]


@dataclass(frozen=True)
class RankedLists:
    """Lists of items in the order that a policy gives them, and what users clicked: what a :data:`Metric` is given.

    Attributes:
        sessions: the sessions of the lists; T lists, L entries in all.
        click_ranks: rank of the clicked item in its list, 0 for the first, -1 where nothing was clicked; int64 [T].
        entry_ranks: rank of each entry of ``sessions.slate_items`` in its list; int64 [L].
        counted: which lists count; bool [T].
    """

    sessions: Sessions
    click_ranks: NDArray[np.int64]
    entry_ranks: NDArray[np.int64]
    counted: NDArray[np.bool_]

    @classmethod
    def reranked(
        cls, sessions: Sessions, scores: ArrayLike, rng: np.random.Generator, *, min_list_length: int = 11
    ) -> RankedLists:
        """Sort logged lists by score.

        Args:
            sessions: logged sessions.
            scores: a number for each entry of ``sessions.slate_items``, [L].
            rng: breaks ties.
            min_list_length: shorter lists do not count, and neither do lists without a click.
        """
        ranks = click_ranks(sessions, scores, rng)
        step = sessions.step_of_entry
        is_click = sessions.slate_items == sessions.clicks[step]
        # A child of the generator: the ranks of clicks do not depend on whether those of other items are asked for.
        ties = rng.spawn(1)[0].random(len(step))
        order = np.lexsort((ties, -np.asarray(scores, dtype=np.float64), is_click, step))
        places = np.empty(len(step), dtype=np.int64)
        places[order] = np.arange(len(step)) - sessions.slate_offsets[step[order]]
        of_click = ranks[step]
        places += (of_click >= 0) & (places >= of_click)
        places[is_click] = of_click[is_click]
        return cls(sessions, ranks, places, (ranks >= 0) & (sessions.slate_lengths >= min_list_length))

    @classmethod
    def as_shown(cls, sessions: Sessions) -> RankedLists:
        """Take the lists in the order in which users saw them, all of which count."""
        step = sessions.step_of_entry
        places = np.arange(len(step)) - sessions.slate_offsets[step]
        ranks = np.full(sessions.num_steps, -1, dtype=np.int64)
        is_click = sessions.slate_items == sessions.clicks[step]
        ranks[step[is_click]] = places[is_click]
        return cls(sessions, ranks, places, np.ones(sessions.num_steps, dtype=bool))

    def in_first(self, k: int) -> NDArray[np.bool_]:
        """Which entries are among the first k of a list that counts; bool [L]."""
        return (self.entry_ranks < k) & self.counted[self.sessions.step_of_entry]


Metric = Callable[[RankedLists], ArrayLike]
"""A measure of ranked lists: a number for each list [T], for each session [S], or one for all of them.

Values of lists and sessions may be NaN where a list does not count; their mean comes with an interval clustered by
user. The same measure serves re-ranked logs (``evaluate_reranking``) and sessions played online
(``evaluate_online``), where the lists are the slates shown.
"""


def measure(metrics: Mapping[str, Metric], lists: RankedLists) -> dict[str, Interval]:
    """Apply metrics to ranked lists.

    Args:
        metrics: the metrics, by name.
        lists: what they measure.

    Returns:
        Means by name, with intervals clustered by user, or by session where users are not known; the ends of a metric's
        interval are NaN where it gives one number for all lists.

    Raises:
        ValueError: a metric that returns another shape, or no value.
    """
    sessions = lists.sessions
    of_session = sessions.user_groups
    results = {}
    for name, metric in metrics.items():
        values = np.asarray(metric(lists), dtype=np.float64)
        if values.ndim == 0:
            results[name] = Interval(float(values), float("nan"), float("nan"))
            continue
        if values.shape == (sessions.num_steps,):
            valid, clusters = lists.counted & ~np.isnan(values), of_session[sessions.session_of_step]
        elif values.shape == (len(sessions),):
            valid, clusters = ~np.isnan(values), of_session
        else:
            raise ValueError(
                f"metric {name!r} must return one number, {sessions.num_steps} (one a list) or {len(sessions)} (one a "
                f"session), got shape {values.shape}"
            )
        if not valid.any():
            raise ValueError(f"metric {name!r} has no value: no list counts")
        results[name] = mean_interval(values[valid], clusters=clusters[valid])
    return results


def ndcg(k: int) -> Metric:
    """Return NDCG@k: 1 / log2(2 + rank) for a click among the first k, else 0; nothing but the click is relevant."""
    _check_k(k)

    def metric(lists: RankedLists) -> NDArray[np.float64]:
        found = (lists.click_ranks >= 0) & (lists.click_ranks < k)
        gains = np.where(found, 1 / np.log2(2.0 + np.maximum(lists.click_ranks, 0)), 0.0)
        return np.where(lists.click_ranks >= 0, gains, np.nan)

    return metric


def recall(k: int) -> Metric:
    """Return recall@k: whether the click is among the first k; with one click a list, the same as p@k of §7.2."""
    _check_k(k)

    def metric(lists: RankedLists) -> NDArray[np.float64]:
        return np.where(lists.click_ranks >= 0, (lists.click_ranks < k).astype(np.float64), np.nan)

    return metric


def catalogue_coverage(k: int) -> Metric:
    """Return the share of the catalogue that is among the first k of any list: one number, without an interval."""
    _check_k(k)

    def metric(lists: RankedLists) -> float:
        first = lists.sessions.slate_items[lists.in_first(k)]
        return len(np.unique(first)) / lists.sessions.num_items

    return metric


def diversity(items: ArrayLike, k: int) -> Metric:
    """Return the intra-list diversity: how different the first k items of a list are from each other, on average.

    Args:
        items: a vector for each item, [n, d], whose difference is 1 - cosine; or a category for each item, integers
            [n], whose difference is 0 for equal and 1 for different categories.
        k: how many places count; lists with fewer than two items have no value.

    Raises:
        ValueError: other shapes, or a vector of length 0.
    """
    _check_k(k)
    table = np.asarray(items)
    if table.ndim == 1 and table.dtype.kind in "iu":
        categories = np.unique(table, return_inverse=True)[1]
    elif table.ndim == 2:
        lengths = np.linalg.norm(table, axis=1, keepdims=True)
        if not (lengths > 0).all():
            raise ValueError(f"items[{int(np.flatnonzero(~(lengths[:, 0] > 0))[0])}] is a vector of length 0")
        vectors, categories = table / lengths, None
    else:
        raise ValueError(f"items must be vectors [n, d] or categories, integers [n], got {table.dtype} {table.shape}")

    def metric(lists: RankedLists) -> NDArray[np.float64]:
        sessions = lists.sessions
        if len(table) != sessions.num_items:
            raise ValueError(f"items describes {len(table)} items, the sessions have {sessions.num_items}")
        first = lists.in_first(k)
        step, shown = sessions.step_of_entry[first], sessions.slate_items[first]
        count = np.bincount(step, minlength=sessions.num_steps).astype(np.float64)
        # Twice the sum over pairs is the square of the sum, less the squares: of vectors, or of counts of a category.
        if categories is None:
            sums = np.zeros((sessions.num_steps, vectors.shape[1]))
            np.add.at(sums, step, vectors[shown])
            alike = (sums**2).sum(axis=1) - count
        else:
            kinds = int(categories.max()) + 1
            pairs, times = np.unique(step * kinds + categories[shown], return_counts=True)
            alike = np.bincount(pairs // kinds, weights=times * (times - 1.0), minlength=sessions.num_steps)
        ordered_pairs = count * (count - 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(ordered_pairs > 0, 1 - alike / ordered_pairs, np.nan)

    return metric


def _check_k(k: int) -> None:
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k must be an integer of at least 1, got {k!r}")


_NAMED: dict[str, Callable[[int], Metric]] = {
    "ndcg": ndcg,
    "recall": recall,
    "catalogue_coverage": catalogue_coverage,
}


def load_metric(name: str) -> Metric:
    """Return a metric by name.

    Args:
        name: ``"ndcg@10"``, ``"recall@5"``, ``"catalogue_coverage@10"`` (with any k); or ``"module:function"``, a
            :data:`Metric` of your own in a module that can be imported.

    Raises:
        ValueError: neither, or a module or function that is not there.
    """
    if ":" in name:
        module, _, function = name.partition(":")
        try:
            metric = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"metric {name!r} cannot be imported: {error}") from error
        if not callable(metric):
            raise ValueError(f"metric {name!r} must be a function of RankedLists, got {type(metric).__name__}")
        return metric  # type: ignore[no-any-return]
    kind, _, k = name.partition("@")
    if kind not in _NAMED or not k.isdecimal():
        raise ValueError(
            f"metric must be {', '.join(f'{known}@K' for known in _NAMED)} or module:function, got {name!r}"
        )
    return _NAMED[kind](int(k))
