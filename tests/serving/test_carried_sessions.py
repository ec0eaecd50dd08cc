"""Files of a served log begin with the sessions that are open: a start reads the last one, whatever happened to it."""

import zlib

import pytest

from irecgan_gym.serving import Click, ServiceError, Start, event_log
from irecgan_gym.serving.event_log import log_files, read_open_sessions
from irecgan_gym.serving.events import Event
from tests.serving.counting_policy import killed, one, opened, told


def play(service, names, steps=3):
    """Some sessions, each at another step; those of odd places end."""
    for number, name in enumerate(names):
        one(service, Start(name, user="u" if number % 3 else None))
        for step in range(number % steps):
            one(service, Click(name, step, 4))
        if number % 2:
            one(service, Click(name, number % steps, None))


def last_answers(service, names, steps=3):
    """Answers to clients that ask again for what they have asked last, and then for one more."""
    found = []
    for number, name in enumerate(names):
        at = number % steps
        again = Click(name, at, None) if number % 2 else Click(name, at - 1, 4)
        if at == 0 and not number % 2:
            again = Start(name, user="u" if number % 3 else None)
        found += service.answer([again, Click(name, at, 5)])
    return [(answer.status, str(answer)) if isinstance(answer, ServiceError) else answer for answer in found]


def test_a_start_reads_the_last_file_alone(tmp_path):
    names = [f"s{number}" for number in range(12)]
    services = [opened(tmp_path / part) for part in ("plain", "restarted")]
    for service in services:
        play(service, names)
    plain, restarted = services
    for number in range(3):
        killed(restarted)
        restarted = opened(tmp_path / "restarted")
        one(restarted, Start(f"more{number}"))
        one(plain, Start(f"more{number}"))
    killed(restarted)
    files = log_files(tmp_path / "restarted")
    assert len(files) == 4
    whole = [path.read_bytes() for path in files]
    for path in files[:-1]:
        path.write_bytes(b"what nobody reads\n")
    restarted = opened(tmp_path / "restarted")
    assert restarted.num_open == plain.num_open
    assert last_answers(restarted, names) == last_answers(plain, names)
    assert restarted.num_open == plain.num_open
    killed(restarted)
    for path, content in zip(files, whole, strict=True):
        path.write_bytes(content)
    killed(plain)
    assert told(tmp_path / "restarted") == told(tmp_path / "plain")


@pytest.mark.parametrize("lines", [0, 1, 3, -1])
def test_a_file_that_was_not_begun_to_its_end_carries_nothing(lines, tmp_path):
    names = [f"s{number}" for number in range(6)]
    service = opened(tmp_path)
    play(service, names)
    killed(service)
    service = opened(tmp_path)
    one(service, Start("more"))
    killed(service)
    _, second = log_files(tmp_path)
    begun = [line for line in second.read_bytes().splitlines(keepends=True) if b'"step":-1' not in line]
    second.write_bytes(b"".join(begun[:lines]) + begun[lines][:9])
    # Another one, begun after that, and again not to its end.
    third = tmp_path / "events-00000003.log"
    third.write_bytes(begun[0])
    plain = opened(tmp_path / "plain")
    play(plain, names)
    service = opened(tmp_path)
    assert last_answers(service, names) == last_answers(plain, names)
    killed(service)
    killed(plain)
    assert told(tmp_path) == told(tmp_path / "plain")


def test_files_that_are_full_carry_over_what_is_open(tmp_path, monkeypatch):
    monkeypatch.setattr(event_log, "_SHARE", 0)
    names = [f"s{number}" for number in range(8)]
    service, plain = opened(tmp_path / "small"), opened(tmp_path / "plain")
    service.log._file_bytes = 1
    for one_service in (service, plain):
        play(one_service, names)
    assert len(log_files(tmp_path / "small")) == len(told(tmp_path / "small"))
    killed(service)
    assert sum(isinstance(record, Event) for record in read_open_sessions(tmp_path / "small")) == 1
    service = opened(tmp_path / "small")
    assert last_answers(service, names) == last_answers(plain, names)
    killed(service)
    killed(plain)
    assert told(tmp_path / "small") == told(tmp_path / "plain")


def test_logs_of_the_first_version_are_gone_on_with(tmp_path):
    names = [f"s{number}" for number in range(6)]
    service = opened(tmp_path)
    play(service, names)
    expected = last_answers(service, names)
    killed(service)
    service = opened(tmp_path / "old")
    play(service, names)
    killed(service)
    (path,) = log_files(tmp_path / "old")
    head, carried, *events = path.read_bytes().splitlines(keepends=True)
    assert b"all_carried" in carried
    text = head.split(b" ", 1)[1].replace(b'"format_version":2', b'"format_version":1').rstrip(b"\n")
    path.write_bytes(b"%08x %s\n" % (zlib.crc32(text), text) + b"".join(events))
    service = opened(tmp_path / "old")
    assert last_answers(service, names) == expected
    killed(service)
    assert told(tmp_path / "old") == told(tmp_path)
