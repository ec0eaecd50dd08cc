"""Re-ranking of the lists of logged sessions (§7.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.evaluation.metrics import (
    Interval,
    Metric,
    RankedLists,
    click_ranks,
    counted_lists,
    mean_interval,
    mean_reciprocal_rank,
    measure,
    precision_at_k,
)
from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.dataset import SessionDataset, SessionLog


class SlateScorer(Protocol):
    """Anything that scores the items of logged slates."""

    def slate_scores(self, sessions: Sessions) -> NDArray[np.float32]:
        """Return a score for each item of every logged slate, given the clicks before it; [L], higher is better."""


@dataclass(frozen=True, eq=False)
class RerankResult:
    """Quality of a policy's re-ranking of the lists of logged sessions.

    Attributes:
        precision: p@k (see :func:`irecgan_gym.evaluation.metrics.precision_at_k`) by k, with its 95% interval.
        reciprocal_rank: mean reciprocal rank of the click, with its 95% interval.
        num_lists: how many lists counted.
        click_ranks: rank of the clicked item in each list, 0 for the first, -1 where nothing was clicked; int64 [T].
        counted: which lists counted; bool [T].
        metrics: further metrics that were asked for, by name.
    """

    precision: Mapping[int, Interval]
    reciprocal_rank: Interval
    num_lists: int
    click_ranks: NDArray[np.int64] = field(repr=False)
    counted: NDArray[np.bool_] = field(repr=False)
    metrics: Mapping[str, Interval] = field(default_factory=dict)

    def as_metrics(self, deployment: str) -> dict[str, float]:
        """The numbers under names such as ``p@1/top-k``, ``p@1_low/top-k`` and ``mrr/top-k``; shares, not percent."""
        metrics: dict[str, float] = {}
        for name, interval in (
            *((f"p@{k}", share) for k, share in self.precision.items()),
            ("mrr", self.reciprocal_rank),
            *self.metrics.items(),
        ):
            metrics |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
        return {f"{name}/{deployment}": value for name, value in metrics.items()}


def evaluate_reranking(
    scorer: SlateScorer,
    sessions: SessionLog,
    *,
    deterministic: bool,
    seed: int,
    at: Sequence[int] = (1, 10),
    min_list_length: int = 11,
    metrics: Mapping[str, Metric] | None = None,
) -> RerankResult:
    """Re-rank the logged list of every step and look for the item that was clicked (§7.2).

    The intervals are clustered by user, or by session where users are not known: lists of one user are not
    independent of each other.

    Args:
        scorer: scores the items of every list, given the clicks before.
        sessions: held-out sessions, in memory or on disk
            (:class:`~irecgan_gym.sessions.dataset.SessionDataset`), of which a few bytes a list are kept.
        deterministic: True ranks by score; False by score plus Gumbel noise, which draws a ranking from the policy
            as it would draw a slate (Plackett-Luce).
        seed: of the order of items with equal scores and of the noise.
        at: numbers of places k for p@k.
        min_list_length: shorter lists do not count; the authors count lists longer than 10, and so does the default.
        metrics: further metrics by name, such as ``{"ndcg@10": ndcg(10)}``; of sessions in memory alone.

    Raises:
        ValueError: no list counts, scores that are NaN, or further metrics of sessions on disk.
    """
    rng = np.random.default_rng(seed)
    if isinstance(sessions, SessionDataset):
        if metrics:
            raise ValueError("further metrics look at all lists at once: load() the sessions, or a part of them")
        return _reranked_by_parts(scorer, sessions, rng, deterministic, at, min_list_length)
    scores = np.asarray(scorer.slate_scores(sessions), dtype=np.float64)
    if not deterministic:
        scores = scores + rng.gumbel(size=scores.shape)
    lists = RankedLists.reranked(sessions, scores, rng, min_list_length=min_list_length)
    ranks = lists.click_ranks
    counted = counted_lists(sessions, ranks, min_list_length)
    return RerankResult(
        precision={k: precision_at_k(sessions, ranks, k, min_list_length=min_list_length) for k in at},
        reciprocal_rank=mean_reciprocal_rank(sessions, ranks, min_list_length=min_list_length),
        num_lists=int(counted.sum()),
        click_ranks=ranks,
        counted=counted,
        metrics=measure(metrics or {}, lists),
    )


def _reranked_by_parts(
    scorer: SlateScorer,
    dataset: SessionDataset,
    rng: np.random.Generator,
    deterministic: bool,
    at: Sequence[int],
    min_list_length: int,
) -> RerankResult:
    """See :func:`evaluate_reranking`; the same numbers as of all sessions at once."""
    all_ranks, all_counted, all_users, number = [], [], [], 0
    for part in dataset:
        scores = np.asarray(scorer.slate_scores(part), dtype=np.float64)
        if not deterministic:
            scores = scores + rng.gumbel(size=scores.shape)
        ranks = click_ranks(part, scores, rng)
        all_ranks.append(ranks)
        all_counted.append((ranks >= 0) & (part.slate_lengths >= min_list_length))
        users = np.arange(number, number + len(part)) if part.users is None else part.users
        all_users.append(users[part.session_of_step])
        number += len(part)
    ranks, counted = np.concatenate(all_ranks), np.concatenate(all_counted)
    if not counted.any():
        raise ValueError(f"no slate with a click holds at least {min_list_length} items")
    found, users = ranks[counted], np.concatenate(all_users)[counted]
    return RerankResult(
        precision={k: mean_interval(found < k, clusters=users) for k in at},
        reciprocal_rank=mean_interval(1 / (1 + found), clusters=users),
        num_lists=int(counted.sum()),
        click_ranks=ranks,
        counted=counted,
    )
