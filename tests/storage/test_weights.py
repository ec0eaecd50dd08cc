"""Files of weights: what was saved is loaded, and nothing else is."""

import json
import struct

import pytest
import torch
from safetensors.torch import save

from irecgan_gym.agents import PG, IRecGAN, PGConfig
from irecgan_gym.agents.references.simple import PopularityPolicy
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.storage.weights import StorageError, load_weights, save_weights

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.tensor([True, False]),
    "c": torch.tensor(2, dtype=torch.int8),
}
CONFIG = {"sizes": (1, 2), "rate": 0.1, "name": "é", "nothing": None}


def parts(path):
    """Header of a safetensors file as JSON, and the rest."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def put(path, header, rest):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)


def rewritten(path, change):
    """Write the file again with another description, and without a word to its digest."""
    header, rest = parts(path)
    description = json.loads(header["__metadata__"]["irecgan_gym"])
    change(description)
    header["__metadata__"]["irecgan_gym"] = json.dumps(description)
    put(path, header, rest)


@pytest.fixture
def path(tmp_path):
    save_weights(tmp_path / "file.safetensors", "thing", CONFIG, TENSORS)
    return tmp_path / "file.safetensors"


def test_what_was_saved_is_loaded(path):
    config, tensors = load_weights(path, "thing")
    assert config == {**CONFIG, "sizes": [1, 2]}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_every_byte_counts(path):
    """Whichever bit of a file is another, it is refused, or the content is the same (spaces of the header)."""
    whole, good = path.read_bytes(), load_weights(path, "thing")
    refused = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            config, tensors = load_weights(path, "thing")
        except StorageError:
            refused += 1
        else:
            assert config == good[0]
            assert all(torch.equal(tensors[name], good[1][name]) for name in TENSORS)
    assert refused > 0.95 * len(whole)


def test_a_part_of_a_file_is_refused(path):
    whole = path.read_bytes()
    for length in range(0, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(StorageError, match="is not a safetensors file"):
            load_weights(path, "thing")


def test_swapped_tensors_are_noticed(tmp_path):
    path = tmp_path / "file"
    save_weights(path, "thing", {}, {"a": torch.zeros(2), "b": torch.ones(2)})
    header, rest = parts(path)
    header["a"], header["b"] = header["b"], header["a"]
    put(path, header, rest)
    with pytest.raises(StorageError, match="was damaged: its content is not what was written"):
        load_weights(path, "thing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda description: description.update(format_version=2), "format version 2, expected at most 1: a later"),
        (lambda description: description.update(format_version=0), "format version 0, expected from 1 to 1"),
        (
            lambda description: description.update(format_version="1"),
            "'format_version' must be a whole number, got '1'",
        ),
        (lambda description: description.update(digest="0" * 64), "was damaged"),
        (lambda description: description.pop("digest"), "its description has no 'digest'"),
        (lambda description: description.pop("format_version"), "its description has an unknown 'digest'"),
        (lambda description: description.update(more=1), "its description has an unknown 'more'"),
        (lambda description: description.update(kind=["thing"]), r"'kind' must be a text, got \['thing'\]"),
        (lambda description: description.update(config=3), "'config' must be an object, got 3"),
        (lambda description: description["config"].update(rate=0.2), "was damaged"),
    ],
)
def test_an_altered_description_is_named(path, change, message):
    rewritten(path, change)
    with pytest.raises(StorageError, match=message):
        load_weights(path, "thing")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "[" * 100_000, '{"kind": "thing"', "null"])
def test_a_description_that_is_none_is_named(tmp_path, text):
    (tmp_path / "file").write_bytes(save(TENSORS, {"irecgan_gym": text}))
    with pytest.raises(StorageError, match="description") as caught:
        load_weights(tmp_path / "file", "thing")
    assert len(str(caught.value)) < 1000


def test_foreign_files_are_named(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(save(TENSORS))
    with pytest.raises(StorageError, match="was not written by irecgan_gym"):
        load_weights(file, "thing")
    file.write_bytes(b"\x80\x04\x95 a pickle of old")
    with pytest.raises(StorageError, match="is not a safetensors file"):
        load_weights(file, "thing")
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_weights(tmp_path, "thing")


def test_another_kind_is_named(path):
    with pytest.raises(StorageError, match="holds a 'thing', expected a 'nothing'"):
        load_weights(path, "nothing")


def test_files_from_before_the_format_had_a_version_are_read(tmp_path):
    description = {"kind": "thing", "version": "0.1.0", "config": {"rate": 0.1}}
    (tmp_path / "old").write_bytes(save(TENSORS, {"irecgan_gym": json.dumps(description)}))
    config, tensors = load_weights(tmp_path / "old", "thing")
    assert config == {"rate": 0.1}
    assert torch.equal(tensors["a"], TENSORS["a"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_neither_saved_nor_loaded(tmp_path, value):
    tensors = {"weights": torch.tensor([[0.0, value], [1.0, 2.0]])}
    with pytest.raises(StorageError, match="tensor 'weights' holds 1 of 4 numbers that are not finite"):
        save_weights(tmp_path / "file", "thing", {}, tensors)
    assert list(tmp_path.iterdir()) == []
    description = {"kind": "thing", "version": "0.1.0", "config": {}}
    (tmp_path / "file").write_bytes(save(tensors, {"irecgan_gym": json.dumps(description)}))
    with pytest.raises(StorageError, match="file: tensor 'weights' holds 1 of 4 numbers that are not finite"):
        load_weights(tmp_path / "file", "thing")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": 1, "b": 0.5, "c": "x"}, None),
        ({"a": 1, "b": 1, "c": "x"}, None),
        ({"a": 1, "b": 1}, "its settings has no 'c'"),
        ({"a": 1, "b": 1, "c": "x", "d": 1}, "its settings has an unknown 'd'"),
        ({"a": 1.5, "b": 1, "c": "x"}, "'a' must be a whole number, got 1.5"),
        ({"a": True, "b": 1, "c": "x"}, "'a' must be a whole number, got True"),
        ({"a": 1, "b": "1", "c": "x"}, "'b' must be a number, got '1'"),
    ],
)
def test_settings_are_of_the_types_asked_for(tmp_path, values, message):
    save_weights(tmp_path / "file", "thing", values, {})
    expected = {"a": int, "b": float, "c": str}
    if message is None:
        assert load_weights(tmp_path / "file", "thing", expected)[0] == values
    else:
        with pytest.raises(StorageError, match=message):
            load_weights(tmp_path / "file", "thing", expected)


ENCODER = EncoderConfig(hidden_size=4, embedding_size=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"num_items": 10**9},
            r"'encoder.embedding.weight' is float32 \[7, 3\], its settings ask for float32 \[100000",
        ),
        ({"num_items": 10**30}, "nothing can be made by its settings"),
        ({"slate_size": 0}, "slate_size must be from 1 to num_items=6, got 0"),
        ({"slate_size": "2"}, "slate_size must be a whole number, got '2'"),
        ({"encoder": {"num_layers": 10**9}}, "num_layers must be at most 100, got 1000000000"),
        ({"encoder": {"hidden_size": 10**9}}, "hidden_size must be at most 65536, got 1000000000"),
        ({"encoder": {"hidden_size": 5, "embedding_size": 3}}, r"is float32 \[16, 3\], its settings ask for float32"),
        (
            {"encoder": {"hidden_size": 4, "embedding_size": 3, "num_layers": 2}},
            "lacks the tensor 'encoder.rnn.bias_hh_l1'",
        ),
        ({"encoder": {"hidden_size": 4, "embedding_size": 3, "cell": "gru"}}, "its settings ask for float32"),
        ({"encoder": []}, "EncoderConfig takes an object of settings, got a list"),
        ({"encoder": {"wings": 2}}, "EncoderConfig has no field 'wings'"),
        ({"position_term": True}, "lacks the tensor"),
    ],
)
def test_settings_of_another_model_than_the_weights_are_refused_before_memory_is_taken(tmp_path, settings, message):
    path = tmp_path / "model.safetensors"
    model = UserModel.create(UserModelConfig(6, 2, encoder=ENCODER), seed=0, device="cpu")
    config = {"num_items": 6, "slate_size": 2, "encoder": {"hidden_size": 4, "embedding_size": 3}, **settings}
    save_weights(path, "user_model", config, model.state_dict())
    with pytest.raises(StorageError, match=message) as caught:
        UserModel.load(path, device="cpu")
    assert str(path) in str(caught.value)


def test_weights_of_another_type_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    model = UserModel.create(UserModelConfig(6, 2, encoder=ENCODER), seed=0, device="cpu")
    model.save(path)
    config, tensors = load_weights(path, "user_model")
    save_weights(path, "user_model", config, {name: tensor.double() for name, tensor in tensors.items()})
    with pytest.raises(StorageError, match=r"is float64 \[.*\], its settings ask for float32 \["):
        UserModel.load(path, device="cpu")


@pytest.mark.parametrize("change", [{"num_items": 10**9}, {"slate_size": 10**9}, {"num_items": -1}, {"seed": -1}])
def test_an_agents_settings_are_compared_with_its_weights(tmp_path, change):
    path = tmp_path / "agent.safetensors"
    agents = (PG(6, 2, PGConfig(encoder=ENCODER), device="cpu"), IRecGAN(6, 2, device="cpu"), PopularityPolicy(6, 2))
    for agent in agents:
        agent.save(path)
        type(agent).load(path)
        config, tensors = load_weights(path, agent.kind)
        save_weights(path, agent.kind, {**config, **change}, tensors)
        with pytest.raises(StorageError) as caught:
            type(agent).load(path)
        assert str(path) in str(caught.value)
        assert len(str(caught.value)) < 500
