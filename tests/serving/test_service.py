import itertools
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irecgan_gym.ope import PlackettLucePolicy, fixed_scores
from irecgan_gym.readers import TableColumns, read
from irecgan_gym.serving import Click, Limits, LogError, ServiceError, Start, event_log, read_served_log, write_table
from irecgan_gym.serving.event_log import EventLog, log_files, read_log_events
from irecgan_gym.serving.events import AllCarried, Carried, Event, Header, Shown, decode, encode
from tests.serving.counting_policy import K, N, killed, one, opened, told

HEADER = Header(N, "digest", True, None, 0, 0.0)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture(name="service")
def service_of_best_slates(tmp_path):
    service = opened(tmp_path / "log")
    yield service
    killed(service)


def test_a_session_goes_from_slate_to_slate_and_ends(service):
    first = one(service, Start("a", user="u"))
    assert (first.step, first.shown.items, first.ended) == (0, (5, 4, 3), None)
    second = one(service, Click("a", 0, 3))
    assert (second.step, second.shown.items) == (1, (3, 5, 4))
    third = one(service, Click("a", 1, 5, reward=2.5, k=2, exclude=(3, 3)))
    assert third.shown == Shown((5, 4), (0.0, 0.0))
    end = one(service, Click("a", 2, None))
    assert (end.step, end.shown, end.ended) == (2, None, "left")
    assert service.num_open == 0


def test_repeated_requests_are_answered_alike_and_logged_once(service):
    requests = [Start("a"), Click("a", 0, 4), Click("a", 1, 4, last=True)]
    for request in requests:
        assert one(service, request) == one(service, request)
    assert len(list(read_log_events(service.log.folder))) == 1 + len(requests)


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        (Click("b", 0, 4), 404, "no session 'b'"),
        (Click("a", 1, 4), 409, "is at step 0, not 1"),
        (Click("a", 0, 0), 422, r"click 0 is not in the slate \[5, 4, 3\]"),
        (Click("a", 0, 4, reward=float("nan")), 422, "finite number"),
        (Click("a", 0, 4, reward=1e39), 422, "finite number"),
        (Click("a", 0, None, reward=1.0), 422, "earns nothing"),
        (Click("a", 0, 4, k=7), 422, "k must be from 1 to 6"),
        (Click("a", 0, 4, exclude=(6,)), 422, "exclude holds 6"),
        (Click("a", 0, 4, exclude=(0, 1, 2, 3)), 422, "leaves 2 of 6"),
        (Start("a", user="other"), 409, "has started already"),
        (Start("a b"), 422, "session must be"),
        (Start("c", user="u" * 257), 422, "at most 256"),
    ],
)
def test_wrong_requests_are_refused_and_change_nothing(service, request_, status, message):
    one(service, Start("a"))
    with pytest.raises(ServiceError, match=message) as error:
        one(service, request_)
    assert error.value.status == status
    assert one(service, Click("a", 0, 4)).step == 1
    assert len(list(read_log_events(service.log.folder))) == 3


def test_a_batch_answers_in_order_with_few_calls(service):
    service.policy.calls = 0
    names = [f"s{number}" for number in range(20)]
    answers = service.answer([Start(name) for name in names] + [Click("nobody", 0, 1)])
    assert [answer.session for answer in answers[:-1]] == names
    assert answers[-1].status == 404
    assert service.policy.calls == 1
    both = service.answer([Click("s0", 0, 4), Click("s1", 0, 3), Click("s0", 1, 5)])
    assert [answer.step for answer in both] == [1, 1, 2]
    assert service.policy.calls == 3


def test_memory_is_bounded_by_refusing_and_by_expiry(tmp_path):
    service = opened(tmp_path, limits=Limits(sessions=2, idle_seconds=60, remembered=1))
    service._clock = clock = Clock()
    one(service, Start("a"))
    clock.now += 40
    one(service, Start("b"))
    with pytest.raises(ServiceError, match="2 sessions are open") as error:
        one(service, Start("c"))
    assert error.value.status == 503
    clock.now += 40
    assert one(service, Start("c")).step == 0  # a has expired
    with pytest.raises(ServiceError, match="has ended") as error:
        one(service, Click("a", 0, 4))
    assert error.value.status == 409
    one(service, Click("b", 0, None))
    with pytest.raises(ServiceError) as error:
        one(service, Click("a", 0, 4))  # forgotten by now
    assert error.value.status == 404
    killed(service)


def test_sessions_end_at_the_longest_length(tmp_path):
    service = opened(tmp_path, limits=Limits(steps=2))
    one(service, Start("a"))
    assert one(service, Click("a", 0, 4)).ended is None
    assert one(service, Click("a", 1, 4)).ended == "limit"
    killed(service)


STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, K), st.booleans(), st.booleans()), min_size=1, max_size=25
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_with_restarts_anywhere_all_answers_are_those_without(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("logs")
    plain, restarted = opened(folder / "plain"), opened(folder / "restarted")
    at = {}
    for name, place, restart, repeat in steps:
        if restart:
            killed(restarted)
            restarted = opened(folder / "restarted")
        if name not in at:
            request = Start(name)
        else:
            items = at[name].shown.items
            request = Click(name, at[name].step, items[place] if place < len(items) else None)
        (expected,), (found,) = plain.answer([request]), restarted.answer([request])
        if isinstance(expected, ServiceError):
            assert found.status == expected.status
            continue
        assert found == expected
        if repeat:
            assert restarted.answer([request]) == [expected]
        at[name] = found
        if found.ended:
            at.pop(name)
            name_again = restarted.answer([Start(name)])[0]
            assert name_again.status == 409
            plain.answer([Start(name)])
    killed(plain)
    killed(restarted)
    kept = [told(folder / part) for part in ("plain", "restarted")]
    assert kept[0] == kept[1]


def test_a_log_of_other_items_is_refused(tmp_path):
    killed(opened(tmp_path))
    with pytest.raises(LogError, match="another catalogue"):
        opened(tmp_path, item_names=[f"i{number}" for number in range(N)])


def test_two_servers_do_not_share_a_log(service):
    with pytest.raises(LogError, match="another server"):
        opened(service.log.folder)


class TestEvents:
    @given(
        st.text(max_size=20),
        st.floats(allow_nan=False, allow_infinity=False),
        st.none() | st.integers(0, 5),
        st.lists(st.floats(-1e300, 0), min_size=1, max_size=3),
    )
    def test_a_line_gives_its_event_back(self, user, reward, click, logs):
        shown = Shown(tuple(range(len(logs))), tuple(logs), (5,))
        event = Event("s", 2, 1.5, user, click, reward, shown)
        line = encode(event)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert decode(line[:-1], "here") == event
        assert decode(encode(HEADER)[:-1], "here") == HEADER
        for carried in (
            Carried("s", 2, 1.5, user, (6, 3, 1), shown, click),
            Carried("s", 2, 0.0, click=click, ended="left"),
            AllCarried(7),
        ):
            assert decode(encode(carried)[:-1], "here") == carried

    @given(st.data())
    def test_a_changed_line_is_refused(self, data):
        line = bytearray(encode(Event("session", 0, 1.0, click=1, shown=Shown((1, 2), (-1.0, -2.0))))[:-1])
        place = data.draw(st.integers(0, len(line) - 1))
        line[place] ^= data.draw(st.integers(1, 255))
        with pytest.raises(LogError, match="here"):
            decode(bytes(line), "here")


class TestLog:
    @given(st.integers(0, 200))
    def test_what_was_cut_off_is_left_out_and_the_rest_kept(self, tmp_path_factory, cut):
        folder = tmp_path_factory.mktemp("log")
        log = EventLog(folder, HEADER)
        events = [Event(f"s{number}", -1, 1.0, shown=Shown((0,), (0.0,))) for number in range(3)]
        for event in events:
            log.append([event])
        log.close()
        (path,) = log_files(folder)
        size = path.stat().st_size
        begin = len(encode(HEADER)) + len(encode(AllCarried(0)))
        os.truncate(path, max(size - cut, begin))
        whole = (size - cut - begin) // len(encode(events[0]))
        kept = events[: max(whole, 0)]
        assert list(read_log_events(folder)) == [HEADER, *kept]
        again = EventLog(folder, HEADER)
        again.append(events[:1])
        again.close()
        assert list(read_log_events(folder)) == [HEADER, *kept, HEADER, events[0]]

    def test_damage_in_the_middle_is_an_error_with_its_place(self, tmp_path):
        log = EventLog(tmp_path, HEADER)
        log.append([Event("a", -1, 1.0), Event("b", -1, 1.0)])
        log.close()
        (path,) = log_files(tmp_path)
        data = bytearray(path.read_bytes())
        data[len(encode(HEADER)) + len(encode(AllCarried(0))) + 12] ^= 1
        path.write_bytes(data)
        with pytest.raises(LogError, match=r"events-00000001\.log, line 3: the line is damaged"):
            list(read_log_events(tmp_path))

    def test_a_new_file_is_begun_where_one_is_large(self, tmp_path):
        log = EventLog(tmp_path, HEADER, file_bytes=200)
        events = [Event(f"s{number}", -1, 1.0) for number in range(200)]
        for event in events:
            log.append([event])
        log.close()
        assert len(log_files(tmp_path)) > 3
        assert [record for record in read_log_events(tmp_path) if isinstance(record, Event)] == events

    def test_a_write_that_fails_is_undone(self, tmp_path, monkeypatch):
        log = EventLog(tmp_path, HEADER)
        log.append([Event("c", -1, 1.0)])
        write = os.write
        calls = itertools.count()

        def full(file, data):
            if next(calls) == 0:
                return write(file, bytes(data)[:10])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            log.append([Event("a", -1, 1.0)])
        monkeypatch.undo()
        log.append([Event("b", -1, 1.0)])
        log.close()
        assert [record.session for record in read_log_events(tmp_path) if isinstance(record, Event)] == ["c", "b"]

    def test_an_event_that_is_no_line_leaves_nothing_of_those_before(self, tmp_path, monkeypatch):
        monkeypatch.setattr(event_log, "_PIECE", 1)
        log = EventLog(tmp_path, HEADER)
        log.append([Event("a", -1, 1.0)])
        with pytest.raises(ValueError, match="Out of range float values"):
            log.append([Event("b", -1, 1.0), Event("c", -1, float("nan"))])
        log.append([Event("d", -1, 1.0)])
        log.close()
        assert [record.session for record in read_log_events(tmp_path) if isinstance(record, Event)] == ["a", "d"]

    def test_where_no_new_file_can_be_begun_the_one_before_goes_on(self, tmp_path, monkeypatch):
        log = EventLog(tmp_path, HEADER, file_bytes=1)
        log.append([Event("a", -1, 1.0)])
        monkeypatch.setattr(os, "write", lambda file, data: (_ for _ in ()).throw(OSError(28, "No space left")))
        monkeypatch.setattr(event_log, "_SHARE", 0)
        with pytest.raises(OSError, match="No space"):
            log.append([Event("b", -1, 1.0)])
        monkeypatch.undo()
        assert len(log_files(tmp_path)) == 1
        log.append([Event("c", -1, 1.0)])
        log.close()
        assert [record.session for record in read_log_events(tmp_path) if isinstance(record, Event)] == ["a", "c"]

    def test_after_a_failed_sync_nothing_is_taken_any_more(self, tmp_path, monkeypatch):
        service = opened(tmp_path)

        def failing(file):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fdatasync", failing)
        (answer,) = service.answer([Start("a")])
        assert answer.status == 503
        monkeypatch.undo()
        (answer,) = service.answer([Start("a")])
        assert "takes nothing" in str(answer)
        assert service.num_open == 0
        killed(service)

    def test_without_a_log_there_is_nothing_to_read(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no log"):
            list(read_log_events(tmp_path))


class TestReading:
    @pytest.fixture
    def folder(self, tmp_path):
        """Sessions of each ending."""
        names = [f"i{number}" for number in range(N)]
        service = opened(tmp_path / "log", sampled=True, limits=Limits(idle_seconds=50), item_names=names)
        service._clock = clock = Clock()
        one(service, Start("expired", user="u1"))
        clock.now += 30
        for name in ("left", "closed", "open"):
            shown = one(service, Start(name, user="u1" if name == "left" else None, exclude=(0,))).shown
            shown = one(service, Click(name, 0, shown.items[1], reward=0.5)).shown
            if name == "left":
                one(service, Click(name, 1, None))
            if name == "closed":
                one(service, Click(name, 1, shown.items[0], last=True))
        one(service, Start("unanswered"))
        clock.now += 30
        service.expire()
        killed(service)
        return tmp_path / "log"

    def test_sessions_are_as_they_were(self, folder):
        log = read_served_log(folder)
        assert log.names == ("expired", "left", "closed", "open")
        assert log.left_out == 1
        sessions = log.sessions
        assert sessions.lengths.tolist() == [1, 2, 2, 1]
        assert (sessions.clicks == N).tolist() == [True, False, True, False, False, False]
        assert sessions.rewards.tolist() == [0.0, 0.5, 0.0, 0.5, 1.0, 0.5]
        assert sessions.truncated.tolist() == [False, False, False, True]
        assert sessions.users.tolist() == [0, 0, 1, 2]
        assert sessions.item_names == tuple(f"i{number}" for number in range(N))
        assert log.excluded[1] == (0,)
        assert log.users == ("u1", "u1", None, None)
        dropped = read_served_log(folder, unanswered="drop")
        assert dropped.names == ("left", "closed", "open")

    def test_probabilities_are_those_of_the_policy(self, folder):
        log = read_served_log(folder, unanswered="drop")
        first = np.flatnonzero(log.sessions.previous_clicks == N)
        scores = np.arange(N) / 10
        scores[0] = -np.inf
        policy = PlackettLucePolicy(fixed_scores(scores), N, K)
        expected = policy.propensities(log.sessions).slates[first]
        np.testing.assert_allclose(log.propensities.slates[first], expected)

    def test_the_table_reads_as_the_same_sessions(self, folder, tmp_path):
        log = read_served_log(folder)
        write_table(log, tmp_path / "log.csv")
        found, report = read(tmp_path / "log.csv", "table", columns=TableColumns(reward="reward", user="user"))
        assert report.rows_read == log.sessions.num_steps
        ids = [log.sessions.item_names.index(name) for name in found.item_names]
        np.testing.assert_array_equal(np.array(ids)[found.slate_items], log.sessions.slate_items)
        np.testing.assert_array_equal(found.rewards, log.sessions.rewards)
        np.testing.assert_array_equal(found.lengths, log.sessions.lengths)
        np.testing.assert_array_equal(
            np.array([*ids, N])[np.where(found.clicks == found.num_items, len(ids), found.clicks)], log.sessions.clicks
        )
        assert found.users.tolist() == [0, 0, -1, -1]
