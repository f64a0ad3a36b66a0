"""The monitor's decisions, without a process."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors.codes import ErrorCode
from ipc.tasks import Watch
from workers.monitor.machine import (
    DirectorySample,
    Memory,
    Sample,
    State,
    TreeSample,
    absorb,
    passed_limits,
    to_tell,
    usage,
)

BIG = ((10_000, 0.0),) * 2
WATCH = Watch(job_id=1, job_dir="/j", control_dir="/c")


def tree(age_s=10.0, cpu_s=0.0, io_bytes=0, pss_kb=100, processes=1):
    return TreeSample(
        age_s=age_s, processes=processes, cpu_s=cpu_s, io_bytes=io_bytes, pss_kb=pss_kb, rss_kb=200, vmem_kb=300
    )


def sample(boot_s=1000.0, dt_s=10.0, **fields):
    return Sample(boot_s=boot_s, dt_s=dt_s, period_s=10.0, **fields)


def after(*samples, state=None):
    state = state or State()
    for one in samples:
        state = absorb(state, one)
    return state


def codes(state, watch, one):
    return [limit.code for limit in passed_limits(state, watch, one)[1]]


def test_a_peak_needs_two_samples_in_a_row():
    memory = Memory()
    for value in (100, 900, 110, 120, 130):
        memory = memory.after(value)
    assert memory.peak_kb == 120
    assert memory.average_kb == (100 + 900 + 110 + 120 + 130) // 5
    assert memory.after(-1) == memory
    assert Memory().average_kb == -1


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 10**7), st.floats(0, 1e5)), max_size=30))
def test_totals_and_peaks_never_go_down(rows):
    state = State()
    before = usage(state)
    for cpu_s, pss_kb, age_s in rows:
        state = absorb(state, sample(tree=tree(cpu_s=cpu_s, pss_kb=pss_kb, age_s=age_s)))
        now = usage(state)
        assert now.cpu_time_s >= before.cpu_time_s
        assert now.wall_time_s >= before.wall_time_s
        assert now.max_pss_kb >= before.max_pss_kb
        before = now


def test_cpu_of_processes_that_vanish_stays_counted():
    state = after(*(sample(tree=tree(cpu_s=cpu_s)) for cpu_s in (10.0, 30.0, 5.0, 8.0)))
    assert state.cpu_s == 33.0


def test_cpu_goes_on_from_what_a_monitor_before_kept():
    assert after(sample(tree=tree(cpu_s=50.0)), state=State(cpu_s=40.0)).cpu_s == 50.0
    assert after(sample(tree=tree(cpu_s=30.0)), sample(tree=tree(cpu_s=31.0)), state=State(cpu_s=40.0)).cpu_s == 41.0


def quiet(count, **fields):
    return [sample(tree=tree(), **fields)] * count


def test_silence_needs_everything_to_be_still():
    assert after(*quiet(5)).silence_s == 40.0
    for sign in (
        sample(tree=tree(cpu_s=1.0)),
        sample(tree=tree(io_bytes=20_000)),
        sample(tree=tree(), directory=DirectorySample(touched=(1.0, 1, 1))),
        sample(tree=tree(), outputs=((5, 1.0),)),
    ):
        assert after(*quiet(5), sign).silence_s == 0.0
    barely = sample(tree=tree(cpu_s=0.01, io_bytes=100))
    assert after(*quiet(5), barely).silence_s == 50.0


def test_a_stopped_host_is_no_silence():
    assert after(*quiet(2), sample(tree=tree(), dt_s=36_000.0)).silence_s == 30.0


def test_no_payload_no_silence():
    state = after(*quiet(5), sample())
    assert state.silence_s == 0.0
    assert codes(state, replace(WATCH, silence_limit_s=1.0, wall_limit_s=1.0), sample()) == []


@pytest.mark.parametrize(
    ("limit", "state", "one", "code"),
    [
        ({"free_disk_bytes": 100}, State(), sample(free_disk_bytes=99), ErrorCode.NOLOCALSPACE),
        ({"work_dir_bytes": 100}, State(size_bytes=101), sample(), ErrorCode.USERDIRTOOLARGE),
        ({"wall_limit_s": 100.0}, State(wall_s=100.5), sample(tree=tree()), ErrorCode.REACHEDMAXTIME),
        ({"until_wall": 1.0}, State(until_boot_s=999.0), sample(), ErrorCode.REACHEDMAXTIME),
        ({"silence_limit_s": 100.0}, State(silence_s=100.0), sample(tree=tree()), ErrorCode.LOOPINGJOB),
        ({"memory_kb": 100}, State(pss=Memory(peak_kb=101)), sample(tree=tree()), ErrorCode.PAYLOADEXCEEDMAXMEM),
        ({"stdout_bytes": 9}, State(), sample(tree=tree(), outputs=((10, 0.0),)), ErrorCode.STDOUTTOOBIG),
        ({"output_bytes": 9}, State(), sample(tree=tree(), outputs=(*BIG, (10, 0.0))), ErrorCode.OUTPUTFILETOOLARGE),
    ],
)
def test_each_limit_has_its_code_and_is_told_once(limit, state, one, code):
    watch = replace(WATCH, **limit)
    state, limits = passed_limits(state, watch, one)
    assert [passed.code for passed in limits] == [code]
    assert limits[0].diag
    assert codes(state, watch, one) == []
    if "until_wall" not in limit:
        assert codes(replace(state, passed=frozenset()), WATCH, one) == []


def test_one_sample_of_much_memory_is_a_fork_and_no_proof():
    big, small = (sample(tree=tree(pss_kb=size)) for size in (1000, 10))
    watch = replace(WATCH, memory_kb=100)
    assert codes(after(small, big, small), watch, small) == []
    assert codes(after(small, big, big), watch, big) == [ErrorCode.PAYLOADEXCEEDMAXMEM]


def test_sizes_of_outputs_that_may_be_large_are_not_told():
    watch = replace(WATCH, stdout_bytes=100, output_bytes=100)
    assert codes(State(), watch, sample(tree=tree(), outputs=((100, 0.0), (101, 0.0), (100, 0.0), (-1, 0.0)))) == []
    assert codes(State(), watch, sample(tree=tree())) == []


def test_limits_not_passed_are_not_told():
    watch = replace(
        WATCH, free_disk_bytes=100, work_dir_bytes=100, wall_limit_s=100.0, silence_limit_s=100.0, until_wall=1.0
    )
    state = State(size_bytes=100, wall_s=100.0, silence_s=99.0, until_boot_s=1000.0)
    assert codes(state, watch, sample(tree=tree(), free_disk_bytes=100)) == []
    assert codes(state, watch, sample(tree=tree(), free_disk_bytes=-1)) == []


def test_usage_is_told_when_it_changes_or_after_a_minute():
    state, first = to_tell(after(sample(tree=tree(cpu_s=100.0))), 1000.0)
    assert first is not None
    state, second = to_tell(after(sample(tree=tree(cpu_s=102.0)), state=state), 1010.0)
    assert second is not None  # the first peak
    state, third = to_tell(after(sample(tree=tree(cpu_s=103.0)), state=state), 1020.0)
    assert third is None
    state, fourth = to_tell(state, 1071.0)
    assert fourth.cpu_time_s == 103
    assert to_tell(after(sample(tree=tree(cpu_s=120.0)), state=state), 1072.0)[1] is not None
