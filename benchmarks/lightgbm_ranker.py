"""The ranker that a practitioner would pick: LightGBM's listwise objective on features of the entries of lists."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.sessions import Sessions
from irecgan_gym.sessions.listwise import listwise_features

INSTALL = 'pip install "irecgan-gym[lightgbm]"'
_PATIENCE = 50


def is_installed() -> bool:
    """Tell whether LightGBM is there."""
    return importlib.util.find_spec("lightgbm") is not None


class LightGBMRanker:
    """Gradient-boosted trees that rank the entries of a list (``rank_xendcg``), by listwise features.

    Args:
        seed: of the objective's draws.
        max_trees: most trees; the validation part says how many are kept.
        learning_rate: of each tree.
        num_leaves: of each tree.
        min_leaf: entries in a leaf at least.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        max_trees: int = 500,
        learning_rate: float = 0.05,
        num_leaves: int = 15,
        min_leaf: int = 50,
    ) -> None:
        self._max_trees = max_trees
        self._parameters = {
            "objective": "rank_xendcg",
            "metric": "map",
            # The click is all that is relevant of a list: its mean average precision is its reciprocal rank.
            "eval_at": [25],
            "learning_rate": learning_rate,
            "num_leaves": num_leaves,
            "min_data_in_leaf": min_leaf,
            "feature_fraction": 0.8,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "lambda_l2": 1.0,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": int(os.environ.get("OMP_NUM_THREADS", "0")),
            "verbosity": -1,
        }
        self._trees: Any = None
        self._names: tuple[str, ...] = ()

    def learn(self, training: Sessions, validation: Sessions) -> LightGBMRanker:
        """Fit trees to the lists with a click, and keep as many as rank the validation part best."""
        import lightgbm

        data = self._data(training)
        trees = lightgbm.train(
            self._parameters,
            data,
            self._max_trees,
            valid_sets=[self._data(validation, data)],
            callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)],
        )
        self._trees = trees
        return self

    def _data(self, sessions: Sessions, reference: Any = None) -> Any:
        """Lists with a click as LightGBM's data set."""
        import lightgbm

        features = listwise_features(sessions)
        if reference is None:
            self._names = tuple(features)
        clicked = sessions.clicks < sessions.num_items
        of_list = np.repeat(clicked, sessions.slate_lengths)
        labels = sessions.slate_items == np.repeat(sessions.clicks, sessions.slate_lengths)
        return lightgbm.Dataset(
            self._matrix(features)[of_list],
            label=labels[of_list].astype(np.float32),
            group=sessions.slate_lengths[clicked],
            feature_name=list(self._names),
            reference=reference,
            params={"verbosity": -1},
        )

    def _matrix(self, features: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        missing = [name for name in self._names if name not in features]
        if missing:
            raise ValueError(f"these sessions do not tell {', '.join(missing)}, which the ranker has learnt from")
        return np.stack([features[name] for name in self._names], axis=1)

    def slate_scores(self, sessions: Sessions) -> NDArray[np.float32]:
        """Scores of all entries, [L].

        Raises:
            ValueError: nothing was learnt, or the sessions lack a feature.
        """
        if self._trees is None:
            raise ValueError("the ranker must learn first")
        scores: NDArray[np.floating] = self._trees.predict(self._matrix(listwise_features(sessions)))
        return scores.astype(np.float32)
