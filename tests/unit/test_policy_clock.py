"""The clock watch: every jump is noticed, nothing else is, and no suspicion lasts for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.policy.clock import HOLD, TOLERANCE, ClockWatch
from tests.unit.policy_scenes import NOW

SECOND = timedelta(seconds=1)
TOO_MUCH = TOLERANCE.total_seconds()


@pytest.mark.parametrize(
    ("jump", "said"), [(3600.0, "forward by 1h"), (-90.0, "back by 1m30s"), (5.1, "forward by 5s")]
)
def test_a_clock_that_is_set_is_suspect_for_a_while(jump: float, said: str) -> None:
    """Forward and back; for as long as the boot clock says, whatever the wall clock does."""
    watch = ClockWatch()
    assert watch.look(NOW, 100.0) is None
    later = NOW + (15 + jump) * SECOND
    found = watch.look(later, 115.0)
    assert found is not None
    assert said in found.sentence
    assert found.until == later + HOLD
    assert watch.look(later + HOLD - SECOND, 115.0 + HOLD.total_seconds() - 1) is not None
    assert watch.look(later + HOLD, 115.0 + HOLD.total_seconds()) is None


def test_setting_it_again_starts_anew() -> None:
    """Also when it is set right again: what was written in between is wrong."""
    watch = ClockWatch()
    watch.look(NOW, 0.0)
    watch.look(NOW + 3600 * SECOND, 0.0)
    found = watch.look(NOW + 200 * SECOND, 200.0)
    assert found is not None
    assert "back by 1h" in found.sentence
    assert watch.jumps == 2


def test_a_suspended_machine_is_no_jump() -> None:
    """Both clocks go on while it sleeps."""
    watch = ClockWatch()
    watch.look(NOW, 0.0)
    assert watch.look(NOW + 8 * 3600 * SECOND, 8 * 3600.0) is None


steps = st.lists(
    st.tuples(st.floats(0.01, 400), st.sampled_from([0.0, 0.0, 0.0, 0.01, -0.01, 60.0, -7200.0])),
    max_size=30,
)


@given(steps)
def test_it_is_suspect_exactly_within_the_hold_after_a_jump(
    rounds: list[tuple[float, float]],
) -> None:
    """Slewing is no jump; each jump holds for the whole time, by the boot clock."""
    watch = ClockWatch()
    wall, boot, jumped_at = NOW, 1_000.0, None
    watch.look(wall, boot)
    for passed, set_by in rounds:
        boot += passed
        wall += (passed + set_by) * SECOND
        found = watch.look(wall, boot)
        if abs(set_by) > TOO_MUCH:
            jumped_at = boot
        suspect = jumped_at is not None and boot - jumped_at < HOLD.total_seconds()
        assert (found is not None) is suspect
