"""A session as text, for terminals and logs."""

from __future__ import annotations

from irecgan_gym.rendering.session_view import SessionView, SlateView

_BAR = 30
_CLICKS_SHOWN = 12


def session_text(view: SessionView) -> str:
    """The session as lines of text; ``>`` marks the click, ``+`` and ``-`` clicks that succeeded and failed."""
    lines = [
        f"{view.title}, step {view.steps}",
        f"  user     {view.user}",
        f"  state    {view.state}",
        f"  reward   {view.step_reward} in this step, {view.session_reward:g} in the session",
        f"  clicks   {_clicks(view)}",
    ]
    if view.slate is not None:
        lines += ["", *_slate(view.slate)]
    return "\n".join(lines) + "\n"


def _clicks(view: SessionView) -> str:
    shown = view.clicks[-_CLICKS_SHOWN:]
    earlier = len(view.clicks) - len(shown)
    marks = [f"{item}{'+' if reward > 0 else '-'}" for item, reward in shown]
    return " ".join(([f"({earlier} earlier)"] if earlier else []) + marks) or "none"


def _slate(slate: SlateView) -> list[str]:
    width = max(5, *(len(str(item)) for item in slate.items))
    largest = max(*slate.click_chances, slate.leave_chance or 0.0)
    rows = [
        (slate.click == item, str(item), click, f"{reward:6.3f}")
        for item, click, reward in zip(slate.items, slate.click_chances, slate.reward_chances, strict=True)
    ]
    if slate.leave_chance is not None:
        rows.append((slate.click is None, "leave", slate.leave_chance, " " * 6))
    lines = [f"    {'item':>{width}}   reward   click"]
    for chosen, label, click, reward in rows:
        bar = "#" * round(_BAR * click / largest)
        lines.append(f"  {'>' if chosen else ' '} {label:>{width}}   {reward}  {click:6.3f}  {bar}")
    return lines
