"""Sessions as Minari datasets, and back; ``python -m irecgan_gym.minari_exchange`` is the command.

An episode is a session of T steps, in Minari's form, so that any of its users can learn from it:

| Part               | What it holds                                                                                 |
|--------------------|-----------------------------------------------------------------------------------------------|
| `observations`     | "no click" (n), then the clicks; `Discrete(n + 1)`, int64 [T + 1]                             |
| `actions`          | the slates; `MultiDiscrete([n] * k)`, int64 [T, k]                                            |
| `rewards`          | float32 [T]                                                                                   |
| `terminations`     | True at the last step, if the user ended the session                                          |
| `truncations`      | True at the last step, if the session was cut                                                 |
| `infos`            | what is known of `propensity`, `shown_in_state`, `events` and `logged_time`, [T + 1] (entry 0 |
|                    | is of the reset and holds nothing); events are a row a step, filled up with n; of the         |
|                    | probabilities of slates, features and labels too, under the names that they have in Parquet   |
|                    | files (features of users a row a step)                                                        |
| episode's metadata | `user`, where users are known                                                                 |
| dataset's metadata | `irecgan_gym`: size and names of the catalogue, features of items, what the other features    |
|                    | and labels are, names of users, provenance, number of sessions                                |

Where slates differ in length, short ones are filled up with n, the space is `MultiDiscrete([n + 1] * k)` and the info
`slate_length` tells how many items were shown. Minari keeps each episode in an HDF5 group of its own, which takes about
20 kB and 2 ms a session; for other uses than exchange, Parquet (:meth:`~irecgan_gym.sessions.Sessions.save`) is better.

Datasets that `minari.DataCollector` makes from the suite's envs are read too: infos have the names that the envs use.
"""

from irecgan_gym.minari_exchange.reading import read_minari
from irecgan_gym.minari_exchange.writing import write_minari

__all__ = ["read_minari", "write_minari"]
