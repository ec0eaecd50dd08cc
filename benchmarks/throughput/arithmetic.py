"""Floating-point operations and bytes that each phase needs at least, and the time that a machine needs for them.

Counted are matrix products (a multiplication and an addition are two operations) and parameters moved between memory
and processor. Not counted, because fused code needs next to no time or traffic for them: activations, softmaxes, gate
functions, random numbers (though n of them a slate cost something), and the collecting of embeddings in inference.
The backward pass of a matrix product is two products of the same size, one for each factor, so training takes three
times the forward pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from irecgan_gym.models.encoder import EncoderConfig

_BACKWARD_AND_FORWARD = 3
# Passes over the parameters in an update. Forward and backward pass: 2 reads, 1 write of the gradient. Its norm: 1
# read. AdamW: reads of parameter, gradient and two moments, writes of parameter and moments.
_PASSES = 2 + 1 + 1 + 4 + 3
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Cost:
    """Needs of a computation.

    Attributes:
        flops: floating-point operations in matrix products.
        bytes: traffic between memory and processor.
    """

    flops: float
    bytes: float

    def __add__(self, other: Cost) -> Cost:
        """Both computations."""
        return Cost(self.flops + other.flops, self.bytes + other.bytes)

    def seconds(self, flops_per_second: float, bytes_per_second: float) -> float:
        """The least time on a machine: arithmetic and traffic at full rate, one behind the other hidden."""
        return max(self.flops / flops_per_second, self.bytes / bytes_per_second)


@dataclass(frozen=True)
class NetworkCost:
    """Return the arithmetic and the size of a recurrent network in inference.

    Attributes:
        state_flops: for a recurrent state and all that depends on it alone.
        choice_flops: for a slate shown, or an item chosen, in such a state.
        parameters: without the embedding table, which is counted by the rows that are used.
    """

    state_flops: float
    choice_flops: float
    parameters: int

    def __add__(self, other: NetworkCost) -> NetworkCost:
        """Both networks, side by side."""
        return NetworkCost(
            self.state_flops + other.state_flops,
            self.choice_flops + other.choice_flops,
            self.parameters + other.parameters,
        )


def encoder_cost(encoder: EncoderConfig) -> NetworkCost:
    """Recurrent layers: a state takes the sum over layers of 2 g H (I + H) operations.

    g = 4 gates of an LSTM or 3 of a GRU; I = E in the first layer and H above.
    """
    hidden, gates = encoder.hidden_size, 4 if encoder.cell == "lstm" else 3
    widths = [encoder.embedding_size] + [hidden] * (encoder.num_layers - 1)
    return NetworkCost(
        sum(2 * gates * hidden * (width + hidden) for width in widths),
        0,
        sum(gates * hidden * (width + hidden + 2) for width in widths),
    )


def policy_cost(encoder: EncoderConfig, num_items: int) -> NetworkCost:
    """Eq 4: the encoder, and 2 H n in a state for the softmax over the catalogue."""
    hidden = encoder.hidden_size
    return encoder_cost(encoder) + NetworkCost(2 * hidden * num_items, 0, num_items * (hidden + 1))


def user_model_cost(encoder: EncoderConfig, candidates: float) -> NetworkCost:
    """Eq 1 and 2: the encoder and two heads of 2 H E in a state; 2 E (K + 1) a choice for candidates and reward."""
    hidden, embedding = encoder.hidden_size, encoder.embedding_size
    heads = NetworkCost(2 * 2 * hidden * embedding, 2 * embedding * (candidates + 1), 2 * embedding * (hidden + 1))
    return encoder_cost(encoder) + heads


def discriminator_cost(encoder: EncoderConfig, candidates: float) -> NetworkCost:
    """Appendix 1: the encoder and 2 H E for the preference in a state; 4 E K a choice.

    The K candidates are multiplied with the preference and with the clicked item.
    """
    hidden, embedding = encoder.hidden_size, encoder.embedding_size
    head = NetworkCost(2 * hidden * embedding, 2 * 2 * embedding * candidates, embedding * (hidden + 1) + 2)
    return encoder_cost(encoder) + head


def training_cost(network: NetworkCost, states: float, choices: float, embedding_values: float, updates: float) -> Cost:
    """Some updates by AdamW with clipped gradients.

    Args:
        network: what is trained.
        states: different recurrent states of all batches; those at the start of a batch's sessions are one.
        choices: steps of all sessions.
        embedding_values: numbers in those rows of the embedding table that occur in a batch, summed over batches.
        updates: batches.
    """
    forward = network.state_flops * states + network.choice_flops * choices
    moved = network.parameters * updates + embedding_values
    return Cost(_BACKWARD_AND_FORWARD * forward, _PASSES * _FLOAT_BYTES * moved)


def inference_cost(network: NetworkCost, states: float, choices: float, sequential_steps: int) -> Cost:
    """Recurrent steps without gradients.

    Args:
        network: all networks that take part.
        states: different recurrent states.
        choices: slates shown.
        sequential_steps: steps that wait for one another, in each of which all parameters are read once.
    """
    flops = network.state_flops * states + network.choice_flops * choices
    return Cost(flops, network.parameters * sequential_steps * _FLOAT_BYTES)
