"""A user's program, which ``make types`` checks with ``mypy --strict``: the front door has types."""

import gymnasium as gym

import irecgan_gym as ig


def main() -> None:
    sessions, report = ig.read("log.csv", "table", columns=ig.TableColumns(reward="purchase", user="user"))
    print(report)
    training, validation, test = sessions.split((0.8, 0.1, 0.1), seed=0, by="user")
    config = ig.UserModelConfig(sessions.num_items, sessions.slate_size, ending="leave")
    model: ig.UserModel = ig.fit_user_model(training, validation, config)
    likelihood: float = ig.fidelity(model, test, seed=0).click_log_likelihood
    env = gym.make("UserModel-v0", user_model=model)
    agent: ig.IRecGAN = ig.IRecGAN(sessions.num_items, sessions.slate_size).learn(training, validation)
    slate, _ = agent.predict(sessions.num_items, deterministic=True)
    log: ig.Sessions = ig.collect(agent, "RecSim-v0", 10, seed=0)
    earned: float = ig.evaluate_online(agent, "RecSim-v0", 10, deterministic=True, seed=0).reward.mean
    print(likelihood, env, slate.shape, len(log), earned)


if __name__ == "__main__":
    main()
