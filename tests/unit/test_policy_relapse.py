"""Which operations are to blame when what they helped is broken again."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from exporter.model.relapse import BrokenAgain, Helped, Relapse
from exporter.policy.relapse import relapses
from tests.unit.policy_scenes import NOW

PER = timedelta(hours=24)
SECOND = timedelta(seconds=1)


def found(seen: BrokenAgain, known: dict[str, Helped]) -> tuple[Relapse, ...]:
    return relapses("prod", "resume-invocations", seen, known.get, per=PER)


def test_several_items_of_one_operation_are_one_relapse() -> None:
    """However many of a batch pause again, it is one operation that did not last."""
    helped = Helped("op_1", "resume", NOW)
    again = BrokenAgain(NOW + SECOND, dict.fromkeys(("b", "a", "other"), NOW))
    assert found(again, {"a": helped, "b": helped, "c": helped}) == (
        Relapse("op_1", "prod", "resume-invocations", "resume", ("a", "b"), seen_at=NOW + SECOND),
    )


def test_the_edges_of_time() -> None:
    """A reading as old as the operation's end shows nothing; exactly ``per`` is too late."""
    known = {"a": Helped("op_1", "resume", NOW)}
    assert found(BrokenAgain(NOW, {"a": NOW}), known) == ()
    assert found(BrokenAgain(NOW + PER, {"a": NOW + PER}), known) == ()
    late = BrokenAgain(NOW + 3 * PER, {"a": NOW + PER - SECOND})
    assert len(found(late, known)) == 1, "it broke in time, and was only seen late"


moments = st.integers(-100_000, 100_000).map(lambda n: NOW + n * SECOND)
operations = st.builds(
    Helped,
    st.sampled_from(["op_1", "op_2", "op_3"]),
    st.sampled_from(["resume", None]),
    moments,
    st.booleans(),
)


@given(
    read_at=moments,
    since=st.dictionaries(st.sampled_from("abcde"), moments),
    known=st.dictionaries(st.sampled_from("abcde"), operations),
)
def test_no_one_is_blamed_wrongly(
    read_at: object, since: dict[str, object], known: dict[str, Helped]
) -> None:
    """Only a policy's, only once, only from a reading begun after its end, only within ``per``."""
    again = BrokenAgain(read_at, since)  # type: ignore[arg-type]
    blamed = found(again, known)
    assert len({one.operation_id for one in blamed}) == len(blamed)
    to_blame = {
        (helped.operation_id, key)
        for key, helped in known.items()
        if key in again.since
        and helped.policy is not None
        and not helped.relapsed
        and again.read_at > helped.finished_at
        and again.since[key] - helped.finished_at < PER
    }
    assert {(one.operation_id, key) for one in blamed for key in one.items} == to_blame
