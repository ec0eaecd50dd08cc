"""The paper's equations written out slowly: one session, one step and one item at a time."""

import math

import torch


def plain_states(encoder, clicks):
    """s_0, s_1, ... before each of the clicks of one session."""
    state, outputs = encoder.start(1), []
    for click in clicks:
        outputs.append(encoder.output(state)[0])
        state = encoder.step(torch.tensor([int(click)]), state)
    return outputs


def plain_softmax_log_probability(logits, chosen):
    total = sum(torch.exp(logit) for logit in logits)
    return torch.log(torch.exp(logits[chosen]) / total)


def plain_click_log_probability(model, hidden, alternatives, click):
    """Eq 1."""
    table = model.encoder.embedding.weight
    query = model.click_head.weight @ hidden + model.click_head.bias
    logits = [query @ table[item] / math.sqrt(len(query)) for item in alternatives]
    return plain_softmax_log_probability(logits, list(alternatives).index(click))


def plain_reward_log_probability(model, hidden, click, reward):
    """Eq 2 with a sigmoid for f_r."""
    table = model.encoder.embedding.weight
    query = model.reward_head.weight @ hidden + model.reward_head.bias
    chance = 1 / (1 + torch.exp(-(query @ table[click]) / math.sqrt(len(query))))
    return torch.log(chance if reward else 1 - chance)


def plain_user_objective(model, sessions, lambda_p, weights):
    """Eq 3 where all weights are 1; with weights q_D, the sum whose gradient is Eq 7."""
    total, step, leave = 0.0, 0, sessions.num_items
    for session in sessions:
        for slate, click, reward, hidden in zip(
            session.slates, session.clicks, session.rewards, plain_states(model.encoder, session.clicks), strict=True
        ):
            alternatives = [int(item) for item in slate] + ([leave] if model.leave_option else [])
            term = plain_click_log_probability(model, hidden, alternatives, int(click))
            if click != leave:
                term = term + lambda_p * plain_reward_log_probability(model, hidden, int(click), reward)
            total = total + float(weights[step]) * term
            step += 1
    return total


def plain_returns(sessions, q, gamma, lambda_r, *, score_at="reward", unrewarded_click=1.0):
    """R_t^a of Eq 10 of every step: q_D of step t' inside the sum over t', or that of step t before it."""
    returns, first = [], 0
    for session in sessions:
        for t in range(len(session.clicks)):
            total = 0.0
            for later in range(t, len(session.clicks)):
                if session.clicks[later] != sessions.num_items:
                    reward = 1 + lambda_r * session.rewards[later] if session.rewards[later] else unrewarded_click
                    score = q[first + (later if score_at == "reward" else t)]
                    total += gamma ** (later - t) * float(score) * float(reward)
            returns.append(total)
        first += len(session.clicks)
    return returns


def plain_policy_log_probabilities(policy, sessions):
    """Log pi(c_t in a_t | s_t) of every step, None where the user left."""
    found = []
    for session in sessions:
        for click, hidden in zip(session.clicks, plain_states(policy.encoder, session.clicks), strict=True):
            logits = policy.head.weight @ hidden + policy.head.bias
            left = click == sessions.num_items
            found.append(None if left else plain_softmax_log_probability(logits, int(click)))
    return found


def plain_agent_objective(policy, sessions, q, gamma, lambda_r):
    """The sum whose gradient is Eq 10 (Eq 8 with lambda_r = 0)."""
    returns = plain_returns(sessions, q, gamma, lambda_r)
    chosen = plain_policy_log_probabilities(policy, sessions)
    return sum(back * one for back, one in zip(returns, chosen, strict=True) if one is not None)


def plain_discriminator(model, slates, clicks, rewards):
    """D of the appendix for one session; ``slates`` hold all alternatives of the user."""
    table = model.encoder.embedding.weight
    scores = []
    for slate, click, reward, hidden in zip(slates, clicks, rewards, plain_states(model.encoder, clicks), strict=True):
        preference = model.preference.weight @ hidden + model.preference.bias
        weights = [torch.exp(preference @ table[item] / model.config.temperature) for item in slate]
        favourite = sum(weight / sum(weights) * table[item] for weight, item in zip(weights, slate, strict=True))
        score = favourite @ table[int(click)]
        if model.config.use_reward:
            score = score * (model.reward_factor.weight[0, 0] * float(reward) + model.reward_factor.bias[0])
        scores.append(score)
    return 1 / (1 + torch.exp(-sum(scores) / len(scores)))


def gradients(module, loss):
    """Gradients of a loss by the module's parameters, zeros where there is none."""
    parameters = dict(module.named_parameters())
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(parameters.items(), found, strict=True)
    }
