"""The conflict rule against a reference of its own, over random lives of two devices.

`MARQUEE_MODEL_EXAMPLES` and `MARQUEE_MODEL_STEPS` make the run longer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec import msgpack

from resolvers.playback.opening import build_playback
from resolvers.runtimes import PlaybackRuntime
from services.errors import ValidationFailed
from services.playback.changes import ChangeResult, Mark, OfflineEvent
from services.playback.conflict_rule import apply
from services.playback.keys import ProgressKeys
from services.playback.notifications import ProgressNotifications
from services.playback.sessions import ViewingSession
from services.playback.state import (
    Base,
    BufferedProgress,
    BufferReply,
    DeviceTag,
    Report,
    ReportOutcome,
    Rules,
    SessionState,
    device_json,
)
from services.redis import pool
from services.settings.settings import Settings
from tests.support.thoroughness import share_of

T = TypeVar("T")
FILM = "movie_1"
START = 1_800_000_000_000
DEVICES = (DeviceTag("tv", None, "TV"), DeviceTag("phone", None, "MOBILE"))
FOR_EVER = 10**15


@dataclass(eq=False)
class Player:
    """A session, as the reference knows it."""

    began: int
    claim: int
    position: float
    sequence: int = -1
    has_sought: bool = False
    has_counted: bool = False
    has_stopped: bool = False


@dataclass
class Reference:
    """The rule in words: sequences, whoever began or sought last holds, a first minute below the
    stored position and standing still take nothing, later offline events win."""

    duration: float
    position: float = 0.0
    furthest: float = 0.0
    completed: bool = False
    watched: int = 0
    at: int = 0
    holder: Player | None = None
    claim: int = 0
    until: int = 0
    dismissed: int = 0
    reset: int = 0
    finished: int = 0  # the latest end that a mark or an offline event told
    unfinished: int = 0  # of the batch: the latest late event short of the end
    seen: set[str] = field(default_factory=set)

    def ends(self, position: float) -> bool:
        share = 0.9 if self.duration >= 300 else 0.99
        return self.duration > 0 and position >= self.duration * share

    def report(self, who: Player, sequence: int, position: float, sought: bool, now: int) -> str:
        if who.has_stopped or sequence <= who.sequence:
            return "repeated"
        if self.duration and position > self.duration + max(60, self.duration / 20):
            return "refused"
        position = min(position, self.duration or position)
        stands_still = who.sequence >= 0 and position == who.position
        is_early = now - who.began < 60_000 and not who.has_sought and position < self.position
        is_claimed = now < self.until and who.claim <= self.claim
        who.sequence, who.position = sequence, position
        if sought:
            who.has_sought, who.claim = True, max(now, who.claim + 1, self.claim + 1)
        if not sought and who is not self.holder and (stands_still or is_early or is_claimed):
            return "kept"
        if self.ends(position) and not self.completed and not who.has_counted:
            self.watched, who.has_counted = self.watched + 1, True
        if position != self.position:
            self.dismissed = 0
        self.position, self.completed, self.at = position, self.ends(position), max(self.at, now)
        self.furthest = max(self.furthest, position)
        self.holder, self.claim, self.until = who, who.claim, now + 30_000
        return "applied"

    def let_go(self, who: Player) -> None:
        who.has_stopped = True
        if self.holder is who:
            self.holder, self.until = None, 0

    def offline(self, event_id: str, position: float, at: int, now: int) -> str:
        if event_id in self.seen:
            return "repeated"
        self.seen.add(event_id)
        at, position = min(at, now), min(position, self.duration or position)
        if at <= self.reset:
            return "kept"
        before = (self.position, self.furthest, self.completed, self.at, self.watched)
        is_late, ends = at <= self.at, self.ends(position)
        is_again = is_late and self.finished > 0 and self.unfinished <= self.finished
        self.watched += ends and not self.completed and not is_again
        self.finished = max(self.finished, at) if ends else self.finished
        self.unfinished = at if is_late and not ends else self.unfinished
        self.furthest = max(self.furthest, position)
        if not is_late:
            self.position, self.at, self.completed = position, at, self.ends(position)
            self.holder, self.until = None, 0
            self.dismissed = 0 if at > self.dismissed else self.dismissed
        now_is = (self.position, self.furthest, self.completed, self.at, self.watched)
        return "kept" if now_is == before else "applied"

    def mark(self, watched: bool, at: int, now: int) -> str:
        if watched:
            end = self.duration or self.position
            if self.completed and self.position == end:
                return "kept"
            self.watched += not self.completed
            self.position, self.completed, self.until = end, True, FOR_EVER
            self.furthest, self.at = max(self.furthest, end), max(self.at, min(at, now))
            self.finished = max(self.finished, min(at, now))
        else:
            if not (self.position or self.furthest or self.completed):
                return "kept"
            self.position, self.furthest, self.completed, self.until = 0.0, 0.0, False, 0
            self.dismissed, self.reset = 0, now
        self.holder, self.claim = None, max(now, self.claim + 1)
        return "applied"

    def dismiss(self, now: int) -> str:
        if self.dismissed:
            return "kept"
        self.dismissed, self.at = now, self.at or now
        return "applied"


@dataclass
class World:
    """A loop of its own: hypothesis is not asynchronous."""

    runner: asyncio.Runner
    redis: pool.Client
    playback: PlaybackRuntime
    keys: ProgressKeys
    machines: int = 0

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    with asyncio.Runner() as runner:
        redis = pool.connect(settings)
        keys = ProgressKeys(settings.progress_shards, settings.redis_key_prefix)
        runner.run(redis.flushdb())
        yield World(
            runner, redis, build_playback(settings, redis, ProgressNotifications(redis, keys)), keys
        )
        runner.run(redis.aclose())


POSITIONS = st.sampled_from(
    [0.0, 0.5, 30.0, 100.0, 179.0, 198.0, 269.5, 600.0, 5399.9, 5400.0, 6e3]
)
STEPS_MS = st.sampled_from([0, 1, 7, 1_000, 9_999, 29_999, 30_000, 31_000, 60_000, 61_000])


class TwoDevices(RuleBasedStateMachine):
    """Sessions of two devices, offline batches, marks; Redis may let go of what is flushed."""

    def __init__(self, world: World, duration: float) -> None:
        super().__init__()
        self.world, self.buffer = world, world.playback.progress
        world.machines += 1
        self.user = f"user_{world.machines}"
        self.now = START
        self.reference = Reference(duration)
        self.players: list[tuple[str, Player]] = []
        self.twins: dict[str, SessionState] = {}
        self.base = Base()
        self.last = Base()
        self.event_ids = 0

    # what happens

    @rule(device=st.integers(0, 1), at=st.none() | POSITIONS, wait=STEPS_MS)
    def a_session_begins(self, device: int, at: float | None, wait: int) -> None:
        """The device's own before it, if one ran, is simply heard of no more, or is yet."""
        self.now += wait
        start = self.reference.position if at is None else at
        session_id, tag = f"session_{self.user}_{len(self.players)}", DEVICES[device]
        opened = ViewingSession(
            session_id=session_id, user_id=self.user, playable_id=FILM,
            device_json=device_json(tag), state="PLAYING", position_seconds=start,
            duration_seconds=self.reference.duration, started_at_ms=self.now, seen_at_ms=self.now,
        )  # fmt: skip
        self.world.run(self.world.playback.sessions.start(opened, self.base))
        self.players.append((session_id, Player(self.now, self.now, start)))
        packed = self.world.run(self.world.redis.hget(self._session_key(session_id), "device"))
        assert isinstance(packed, bytes)
        self.twins[session_id] = SessionState(
            session_id, packed.decode(), self.now, start, self.reference.duration
        )

    @rule(
        which=st.integers(0, 2),
        steps=st.sampled_from([-1, 0, 1, 1, 1, 2]),
        position=st.none() | POSITIONS,
        moved=st.sampled_from([0.0, 10.0, 10.0, 10.0, -10.0]),
        sought=st.sampled_from([False, False, False, True]),
        state=st.sampled_from(["PLAYING", "PLAYING", "PLAYING", "PAUSED", "STOPPED"]),
        wait=STEPS_MS,
    )
    def a_player_reports(
        self,
        which: int,
        steps: int,
        position: float | None,
        moved: float,
        sought: bool,
        state: str,
        wait: int,
    ) -> None:
        """One of the three newest sessions; `steps` below 1 repeats or comes out of order."""
        if not self.players:
            return
        self.now += wait
        session_id, player = self.players[-1 - which % len(self.players)]
        sequence = max(0, player.sequence + steps)
        if position is None:
            position = max(0.0, player.position + moved)
        report = Report(session_id, sequence, position, None, state, None, sought)
        expected = self.reference.report(player, sequence, position, sought, self.now)
        if state == "STOPPED" and expected not in ("repeated", "refused"):
            player.has_stopped = True
            if expected == "applied":
                self.reference.let_go(player)
        self._report(report, expected)

    @rule(which=st.integers(0, 2), wait=STEPS_MS)
    def a_player_stops_without_a_word(self, which: int, wait: int) -> None:
        if not self.players:
            return
        self.now += wait
        session_id, player = self.players[-1 - which % len(self.players)]
        expected = "repeated" if player.has_stopped else "applied"
        player.sequence += not player.has_stopped
        self.reference.let_go(player)
        self._report(Report(session_id, None, None, None, "STOPPED", None), expected)

    @rule(
        events=st.lists(
            st.tuples(st.integers(0, 3), POSITIONS, st.integers(-100_000, 20_000)), max_size=4
        ),
        wait=STEPS_MS,
    )
    def a_device_comes_back_online(self, events: list[tuple[int, float, int]], wait: int) -> None:
        """Of each event how new its id is (0: it was sent before), where, and when it was."""
        self.now += wait
        batch = []
        for newness, position, ago in events:
            self.event_ids += newness > 0
            id_ = f"event_{self.event_ids}"
            duration = self.reference.duration or None
            at = self.now + ago
            batch.append(OfflineEvent(id_, FILM, DEVICES[1], position, duration, at))
        order = sorted(range(len(batch)), key=lambda place: batch[place].at_ms)
        self.reference.unfinished = 0
        expected = [""] * len(batch)
        for place in order:
            event = batch[place]
            expected[place] = self.reference.offline(
                event.event_id, event.position_seconds, event.at_ms, self.now
            )
        self._change(
            lambda bases: self.buffer.apply_offline(self.user, batch, self.now, bases), expected
        )

    @rule(watched=st.booleans(), ago=st.sampled_from([0, 50_000]), wait=STEPS_MS)
    def the_viewer_marks_it(self, watched: bool, ago: int, wait: int) -> None:
        self.now += wait
        if not watched and self.last.version == 0:
            expected = "kept"
        else:
            expected = self.reference.mark(watched, self.now - ago, self.now)
        mark = Mark(FILM, self.now - ago, self.reference.duration or None)
        self._change(
            lambda bases: self.buffer.set_watched(
                self.user, [mark], watched=watched, now_ms=self.now, bases=bases
            ),
            [expected],
        )

    @rule(wait=STEPS_MS)
    def the_viewer_dismisses_it(self, wait: int) -> None:
        self.now += wait
        expected = self.reference.dismiss(self.now)
        self._change(
            lambda bases: self.buffer.dismiss(self.user, FILM, self.now, bases.get(FILM)),
            [expected],
        )

    @rule()
    def it_is_flushed_and_let_go_of(self) -> None:
        """MongoDB has it all, Redis nothing: the next change needs a base."""
        self.base = self.last
        self.world.run(self.world.redis.delete(self.world.keys.progress(self.user, FILM)))

    # what is then true

    @invariant()
    def what_is_stored_is_what_the_reference_says(self) -> None:
        rows = self.world.run(self.buffer.read_many(self.user, [FILM]))
        stored = rows.get(FILM)
        state = stored.state if stored is not None else self.last.state
        reference = self.reference
        assert state.position_seconds == reference.position
        assert bool(state.completed) == reference.completed
        assert state.watch_count == reference.watched
        assert state.furthest_seconds == reference.furthest
        assert state.at_ms == reference.at
        assert state.dismissed_at_ms == reference.dismissed

    def _report(self, report: Report, expected: str) -> None:
        before, twin = self._stored(), self.twins[report.session_id]
        if expected == "refused":
            with pytest.raises(ValidationFailed):
                self._push_report(report)
            with pytest.raises(ValidationFailed):
                apply(before.state, twin, report, self.now, Rules())
            assert self._stored() == before
            self._check_session(twin)
            return
        reported = self._push_report(report)
        assert reported.outcome.value == expected
        # the rule's twin, for what does not pass through Redis, says the same to the last field
        outcome, state, session_after = apply(before.state, twin, report, self.now, Rules())
        assert outcome is reported.outcome
        self.twins[report.session_id] = session_after
        if reported.progress is not None:
            assert msgpack.encode(state) == msgpack.encode(reported.progress.state)
        self._remember(reported.progress, grows=expected == "applied")
        self._check_session(session_after)

    def _push_report(self, report: Report) -> BufferReply:
        reported = self.world.run(self.buffer.report(self.user, report, self.now))
        if reported.outcome is ReportOutcome.BASE_NEEDED:
            reported = self.world.run(self.buffer.report(self.user, report, self.now, self.base))
        return reported

    def _change(self, call: Any, expected: list[str]) -> None:
        changed: ChangeResult = self.world.run(call({}))
        if changed.needed:
            assert changed == ChangeResult([FILM], [], {})
            changed = self.world.run(call({FILM: self.base}))
        assert [outcome.value for outcome in changed.outcomes] == expected
        if FILM in changed.progress:
            self._remember(changed.progress[FILM], grows="applied" in expected)

    def _remember(self, progress: BufferedProgress | None, *, grows: bool) -> None:
        """Stamps and versions never go back."""
        if progress is None:
            assert self.last.version == 0
            return
        assert progress.version >= self.last.version
        assert progress.state.stamp_ms >= self.last.state.stamp_ms
        if grows and progress.version > self.last.version:
            assert progress.state.stamp_ms > self.last.state.stamp_ms
        self.last = Base(progress.version, progress.state)

    def _stored(self) -> Base:
        rows = self.world.run(self.buffer.read_many(self.user, [FILM]))
        stored = rows.get(FILM)
        return Base(stored.version, stored.state) if stored is not None else self.last

    def _check_session(self, expected: SessionState) -> None:
        names = ("sequence", "position", "seen_at", "watched", "counted", "finished", "state")
        key = self._session_key(expected.session_id)
        row = self.world.run(self.world.redis.hmget(key, *names))
        texts = [value.decode() if value is not None else "0" for value in row]
        assert (int(texts[0]), float(texts[1])) == (expected.sequence, expected.position_seconds)
        assert int(texts[2]) == max(expected.seen_ms, expected.started_ms)
        assert float(texts[3]) == expected.watched_seconds
        assert (texts[4] == "1", texts[5] == "1") == (expected.counted, expected.finished)
        assert texts[6] == expected.state

    def _session_key(self, session_id: str) -> str:
        return self.world.keys.session(self.user, session_id)


@pytest.mark.parametrize("duration", [6000.0, 200.0, 0.0])
def test_random_lives_of_two_devices_end_as_the_reference_says(
    world: World, duration: float
) -> None:
    run_state_machine_as_test(
        lambda: TwoDevices(world, duration),
        settings=settings(
            max_examples=int(os.environ.get("MARQUEE_MODEL_EXAMPLES") or share_of(80)),
            stateful_step_count=int(os.environ.get("MARQUEE_MODEL_STEPS", "40")),
            deadline=None,
            derandomize="MARQUEE_MODEL_EXAMPLES" not in os.environ,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
