"""Figures of the payload's own tools, the line through its memory, the pulse (protocol 3.6 to 3.8); no process."""

import json
import math

import pytest

from ipc.observations import Usage
from workers.monitor.fit import Fit
from workers.monitor.keeping import keep, recall
from workers.monitor.machine import DirectorySample, Sample, State, TreeSample, absorb, usage
from workers.monitor.pulse import next_pulse
from workers.monitor.summary import read_own_words

PRMON = {
    "Max": {"rss": 10, "vmem": 20, "swap": 0, "pss": 9, "rchar": 1, "wchar": 2, "read_bytes": 3, "write_bytes": 4},
    "Avg": {"rss": 5, "vmem": 6.7, "swap": 0, "pss": 4, "rchar": 5, "wchar": 6, "read_bytes": 7, "write_bytes": 8},
    "HW": {"gpu": {"nGPU": 2, "gpu_1": {"name": "Tesla T4"}}},
}


def words(tmp_path, summary):
    (tmp_path / "memory_monitor_summary.json").write_text(json.dumps(summary))
    return read_own_words(tmp_path).over(Usage(max_rss_kb=1))


def test_the_summary_of_prmon_wins(tmp_path):
    seen = words(tmp_path, PRMON)
    assert (seen.max_rss_kb, seen.avg_vmem_kb, seen.tot_rbytes, seen.rate_wbytes) == (10, 6, 3, 8)
    assert (seen.gpu_name, seen.n_gpu) == ("Tesla_T4", 2)


def test_incomplete_memory_is_minus_one_everywhere(tmp_path):
    seen = words(tmp_path, {**PRMON, "Max": {**PRMON["Max"], "pss": "x"}})
    assert {seen.max_rss_kb, seen.max_pss_kb, seen.avg_swap_kb} == {-1}


@pytest.mark.parametrize("summary", [[], 3, {"Max": 3}, {"Max": {}, "HW": 3}, {"HW": {"gpu": {"nGPU": -1}}}, None])
def test_a_strange_summary_changes_nothing_else(tmp_path, summary):
    seen = words(tmp_path, summary)
    assert seen.max_rss_kb in (1, -1)
    assert seen.n_gpu == 0


def test_the_last_line_of_the_event_loop_counts(tmp_path):
    told = ((11, 5), (99, 7))
    lines = [f"done processing event #{event}, run #2 {count} events read so far" for event, count in told]
    (tmp_path / "eventLoopHeartBeat.txt").write_text("\n".join(lines))
    seen = read_own_words(tmp_path).over(Usage())
    assert (seen.event_number, seen.events_read) == (99, 7)


def test_the_line_through_a_leak():
    fit = Fit()
    for second in range(0, 200, 10):
        fit = fit.after(second, 1_000_000 + 3 * second)
    assert math.isclose(fit.slope, 3.0, rel_tol=1e-6)
    assert math.isclose(fit.intersect, 1_000_000, rel_tol=1e-6)
    assert fit.chi2 < 1e-9
    assert not Fit().after(0, 1).after(5, 2).is_good


def test_a_payload_that_grows_at_its_start_and_shrinks_at_its_end_leaks_nothing():
    fit = Fit()
    for number, kb in enumerate([1, 10, 100, 500, 900, *[1000] * 10, 300, 20]):
        fit = fit.after(10.0 * number, kb)
    assert (fit.is_good, fit.slope, fit.chi2, fit.intersect) == (True, 0.0, 0.0, 1000.0)


def test_fit_and_largest_size_outlive_the_monitor(tmp_path):
    state = State()
    for number in range(20):
        tree = TreeSample(
            age_s=10.0 * number, processes=1, cpu_s=8.0 * number, io_bytes=0, pss_kb=100 + number, swap_kb=0
        )
        directory = DirectorySample(size_bytes=1000 if number == 3 else 10)
        state = absorb(state, Sample(boot_s=1.0, dt_s=10.0, period_s=10.0, tree=tree, directory=directory))
    keep(tmp_path, state)
    again = recall(tmp_path, State())
    assert again.fit == state.fit
    seen = usage(state)
    assert (seen.work_dir_bytes, seen.max_work_dir_bytes, usage(again).max_work_dir_bytes) == (10, 1000, 1000)
    assert (seen.leak, seen.fitted) == (0.1, True)


def test_cores_now_and_over_the_payloads_life():
    state = State()
    for age_s, cpu_s in ((10.0, 0.0), (20.0, 0.0), (30.0, 40.0)):
        tree = TreeSample(age_s=age_s, processes=1, cpu_s=cpu_s, io_bytes=0)
        state = absorb(state, Sample(boot_s=1.0, dt_s=10.0, period_s=10.0, tree=tree))
        if age_s == 10.0:
            assert usage(state).cores_now == -1.0
    assert (usage(state).cores_now, usage(state).cores) == (4.0, 1.33)


def test_totals_of_io_keep_what_ended_processes_moved():
    state = State()
    for io in ((10, 1, 0, 0), (30, 2, 0, 5), (4, 1, 0, 0), (6, 1, 0, 1)):
        tree = TreeSample(age_s=10.0, processes=1, cpu_s=0.0, io_bytes=sum(io[:2]), io=io)
        state = absorb(state, Sample(boot_s=1.0, dt_s=1.0, period_s=1.0, tree=tree))
    assert state.io == (32, 2, 0, 6)
    seen = usage(state)
    assert (seen.tot_rchar, seen.rate_rchar, seen.tot_wbytes) == (32, 3, 6)


def test_the_pulse_notes_gaps():
    first = next_pulse({}, 0.0, 1000.0)
    assert first == {
        "last_pilot_update": 1000,
        "last_server_update": 0,
        "max_diff_time": 0,
        "time_since_detection": 0,
    }
    second = next_pulse(first, 1050.0, 1060.0)
    assert (second["max_diff_time"], second["time_since_detection"]) == (60, 0)
    late = next_pulse(second, 1050.0, 2060.0)
    assert (late["max_diff_time"], late["time_since_detection"]) == (1000, 1000)
    assert next_pulse(late, 1050.0, 2120.0)["time_since_detection"] == 1000
