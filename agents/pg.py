"""PG and PGC: a policy learned by REINFORCE from offline data alone."""

from __future__ import annotations

from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.agents.policy_gradient import PGCConfig, PGConfig, PolicyUpdates, fit_policy, offline_returns
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions import Sessions


class PG(PolicyAgent[PGConfig]):
    """REINFORCE on logged sessions: Eq 10 with q_D = 1 and no generated data (baseline 2 of §7.1)."""

    kind = "pg"
    config_type = PGConfig
    policy: SlatePolicy

    def _build(self) -> None:
        self.policy = self._module(lambda: SlatePolicy(self.num_items, self.slate_size, self.config.encoder))

    def _learn(self, sessions: Sessions, validation: Sessions | None, recorder: Recorder) -> None:
        offline, held_out = self._hold_out(sessions, validation, self.config.validation_fraction)
        fit_policy(self.policy, offline, held_out, self.config, generator=self._next_rng(), recorder=recorder)


class PGC(PolicyAgent[PGCConfig]):
    """PG with as many policy updates as IRecGAN, the control that shows what the rest of Algorithm 1 is worth.

    Its learning is that of IRecGAN without lines 3, 5, 6, 9 to 12 and 15 to 19: no user model, no generated sessions,
    no discriminator. The paper has no such baseline.
    """

    kind = "pgc"
    config_type = PGCConfig
    policy: SlatePolicy

    def _build(self) -> None:
        self.policy = self._module(lambda: SlatePolicy(self.num_items, self.slate_size, self.config.encoder))

    def _learn(self, sessions: Sessions, validation: Sessions | None, recorder: Recorder) -> None:
        config = self.config
        offline, held_out = self._hold_out(sessions, validation, config.validation_fraction)
        fit_policy(self.policy, offline, held_out, config, generator=self._next_rng(), recorder=recorder)
        updates = PolicyUpdates(self.policy, held_out, config, self._next_rng())
        data = offline_returns(offline, config, self.device)
        for epoch in range(1, config.rounds + 1):
            for _ in range(config.r_steps):
                measured = updates.update(data)
            recorder.record(measured | updates.validate(), epoch)
            if updates.best.should_stop:
                break
        updates.best.restore()
