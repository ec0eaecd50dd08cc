"""Content of a picture of a session."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SlateView:
    """A slate, and what the user did with it.

    Attributes:
        items: shown, in the order shown; [k].
        click_chances: probability of a click on each of them, [k].
        reward_chances: probability that a click on each of them earns a reward of 1, [k].
        leave_chance: probability that the user leaves without a click; None where users cannot.
        click: the item clicked, or None where the user left.
        reward: what the step earned.
    """

    items: tuple[int, ...]
    click_chances: tuple[float, ...]
    reward_chances: tuple[float, ...]
    leave_chance: float | None
    click: int | None
    reward: float

    @property
    def outcome(self) -> str:
        """Say in words what the user did."""
        if self.click is None:
            return "left without a click"
        return f"clicked item {self.click}: {'success' if self.reward > 0 else 'failure'}"


@dataclass(frozen=True)
class SessionView:
    """A session as it stands.

    Attributes:
        title: name of the env.
        slate: the last one, or None before the first.
        clicks: items clicked so far and what each earned; the last click is the last slate's.
        steps: number of slates shown so far.
        session_reward: sum of the rewards so far.
        ended: whether the user has ended the session.
        state: the user's state, in words.
    """

    title: str
    slate: SlateView | None
    clicks: tuple[tuple[int, float], ...]
    steps: int
    session_reward: float
    ended: bool
    state: str

    @property
    def user(self) -> str:
        """Say in words what the user does."""
        if self.slate is None:
            return "waits for the first slate"
        return f"{self.slate.outcome}{', the session is over' if self.ended else ''}"

    @property
    def step_reward(self) -> str:
        """Return the earnings of the last step as text."""
        return "-" if self.slate is None else f"{self.slate.reward:g}"
