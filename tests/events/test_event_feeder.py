"""The feeder's rules, one by one (event-service 3 to 8, 10). Time is moved by hand; nothing else is there."""

import json

import pytest

from events.channel import Output, RangeError, Ready, Unusable
from events.feeder import Feeder, Phase
from events.ledger import Tar, line_of, read_entries
from events.words import (
    AskRanges,
    Begun,
    Count,
    Drain,
    EndPayload,
    Finish,
    GiveUp,
    Heard,
    MakeTar,
    Note,
    Open,
    PayloadOver,
    RangesCame,
    RangesFailed,
    Remove,
    Reply,
    ReportFailed,
    ReportTaken,
    Rules,
    TarFailed,
    TarStaged,
    Tell,
    Ticked,
)

STORE = "DISK"


def range_ids(*numbers):
    return [f"1-2-3-{number}-1" for number in numbers]


def as_ranges(ids):
    return tuple({"eventRangeID": each, "startEvent": 1, "lastEvent": 1} for each in ids)


class Rig:
    """A feeder, its ledger as text, and what it asked for."""

    def __init__(self, entries="", **rules):
        given = {"core_count": 2, "gap_s": 100.0, "drain_s": 1000.0, "silent_range_s": 500.0, **rules}
        self.rules = Rules(storage_ids={STORE: 17}, **given)
        self.text = entries
        self.feeder = Feeder(self.rules, read_entries(entries))
        self.now = 50.0
        self.asked = []
        self.give(Begun())

    def give(self, event):
        found = self.feeder.handle(event, self.now)
        self.text += "".join(line_of({"t": self.now, **each.entry}) for each in found if isinstance(each, Note))
        self.asked += found
        return found

    def wait(self, seconds):
        self.now += seconds
        return self.give(Ticked())

    def last(self, kind):
        return [each for each in self.asked if isinstance(each, kind)][-1]

    def all(self, kind):
        return [each for each in self.asked if isinstance(each, kind)]

    def ranges(self, *numbers):
        return self.give(RangesCame(number=self.last(AskRanges).number, ranges=as_ranges(range_ids(*numbers))))

    def ready(self, peer="a", *, waits=False):
        return [
            each for each in self.give(Heard(peer=peer, message=Ready(), needs_reply=waits)) if isinstance(each, Reply)
        ]

    def output(self, range_id, peer="a", *, paths=None, waits=False, size=10, problem=""):
        message = Output(range_id=range_id, paths=(f"/j/out.{range_id}",) if paths is None else paths)
        return self.give(Heard(peer=peer, message=message, needs_reply=waits, size_bytes=size, problem=problem))

    def fed(self, *numbers):
        """Hand ranges out to peer a."""
        self.ranges(*numbers)
        for _ in numbers:
            self.ready()
        return range_ids(*numbers)

    def stage(self):
        """Bring the last archive to its storage."""
        lfn = self.last(MakeTar).group.lfn
        return self.give(TarStaged(tar=Tar(lfn=lfn, endpoint=STORE, size_bytes=99, checksum="adler32:0a1b2c3d")))

    def take(self, *results):
        report = self.last(Tell).report
        return self.give(ReportTaken(name=report.name, results=results or (True,) * len(report.ids)))

    def state(self, range_id):
        return self.feeder.ledger.ranges[range_id].event

    def again(self, **rules):
        """A new feeder of the same ledger."""
        return Rig(self.text, **rules)


def messages(replies):
    return [reply.text if reply.text[0] != "[" else json.loads(reply.text)[0]["eventRangeID"] for reply in replies]


# ---------------------------------------------------------------- supply
def test_es_2_twice_the_cores_are_asked_for_and_nothing_after_an_empty_answer():
    rig = Rig(core_count=3)
    assert rig.all(AskRanges) == [AskRanges(1, 6)]
    rig.ranges(1, 2)
    assert rig.all(AskRanges) == [AskRanges(1, 6), AskRanges(2, 6)]
    rig.ranges()
    rig.wait(10_000)
    assert len(rig.all(AskRanges)) == 2


def test_no_request_while_the_stock_holds_a_range_for_each_core():
    rig = Rig(core_count=2)
    rig.ranges(1, 2, 3, 4)
    rig.ready()
    rig.ready()
    assert len(rig.all(AskRanges)) == 1
    rig.ready()
    assert len(rig.all(AskRanges)) == 2


def test_es_8_an_empty_first_answer_ends_it_before_the_payload():
    rig = Rig()
    rig.ranges()
    assert [each.code for each in rig.all(GiveUp)] == [1238]
    assert rig.all(Open) == []
    assert rig.feeder.phase is Phase.DONE


def test_a_request_that_fails_is_made_again_after_10_30_and_60_s_and_then_it_is_over():
    rig = Rig()
    for pause_s in (10, 30, 60):
        rig.give(RangesFailed(number=1, text="no answer"))
        before = len(rig.all(AskRanges))
        rig.wait(pause_s - 0.1)
        assert len(rig.all(AskRanges)) == before
        assert rig.feeder.next_deadline() == pytest.approx(rig.now + 0.1)
        rig.wait(0.1)
        assert len(rig.all(AskRanges)) == before + 1
    rig.give(RangesFailed(number=1, text="no answer"))
    assert [each.code for each in rig.all(GiveUp)] == [1318]


def test_requests_that_fail_later_end_the_supply_and_nothing_else():
    rig = Rig(retry_s=())
    rig.ranges(1)
    rig.give(RangesFailed(number=2, text="no answer"))
    assert rig.all(GiveUp) == []
    assert messages([*rig.ready(), *rig.ready()]) == [*range_ids(1), "No more events"]


def test_an_answer_that_came_twice_counts_once():
    rig = Rig()
    rig.ranges(1, 2)
    rig.give(RangesCame(number=1, ranges=as_ranges(range_ids(1, 2))))
    assert len(rig.feeder.ledger.ranges) == 2
    rig.ready()
    rig.ranges(1, 2)  # a server that gives the same again has no more
    assert rig.feeder.ledger.supply_over


# ---------------------------------------------------------------- hand-out
def test_case_60_one_range_for_each_ready_and_then_no_more_events():
    rig = Rig()
    rig.ranges(1, 2)
    replies = rig.ready("a")
    rig.ranges()
    replies += [*rig.ready("b"), *rig.ready("a"), *rig.ready("b")]
    assert messages(replies) == [*range_ids(1, 2), "No more events", "No more events"]
    assert [reply.peer for reply in replies] == ["a", "b", "a", "b"]


def test_who_asks_too_early_is_answered_when_ranges_come():
    rig = Rig(core_count=1)
    rig.ranges(1)
    rig.ready("a")
    assert rig.ready("b") == []
    assert messages([each for each in rig.ranges(2) if isinstance(each, Reply)]) == range_ids(2)


def test_the_ledger_knows_before_the_payload_does():
    rig = Rig()
    rig.ranges(1)
    found = rig.give(Heard(peer="a", message=Ready()))
    assert [type(each) for each in found][:2] == [Note, Reply]


def test_es_4_a_peer_that_waits_gets_an_answer_to_everything():
    rig = Rig()
    one, two = rig.fed(1, 2)
    replies = [each.text for each in rig.output(one, waits=True) if isinstance(each, Reply)]
    odd = rig.give(Heard(peer="a", message=Unusable(text="?"), needs_reply=True))
    replies += [each.text for each in odd if isinstance(each, Reply)]
    assert replies == ["ACK", "ACK"]
    assert not [each for each in rig.output(two) if isinstance(each, Reply)]


def test_softkill_hands_out_no_more_and_brings_what_is_there():
    rig = Rig()
    one, _ = rig.fed(1, 2)
    rig.ranges(3, 4, 5)
    rig.give(Drain(text="softkill"))
    assert messages(rig.ready()) == ["No more events"]
    rig.output(one)
    rig.wait(1)
    assert rig.last(MakeTar).group.ids == (one,)


def test_a_word_of_a_range_that_was_not_handed_out_counts_for_nothing():
    rig = Rig()
    rig.ranges(1)
    rig.output(*range_ids(1))
    rig.output("9-9-9-9-9")
    assert rig.feeder.unread == 2
    assert rig.state(*range_ids(1)) == "fetched"


# ---------------------------------------------------------------- archives
def test_case_62_what_comes_together_goes_into_one_archive():
    rig = Rig()
    one, two = rig.fed(1, 2)
    rig.output(one)
    rig.output(two)
    assert rig.all(MakeTar) == []
    rig.wait(0.5)
    (made,) = rig.all(MakeTar)
    assert (made.group.lfn, made.group.ids) == (f"EventService_premerge_{one}.tar", (one, two))
    rig.stage()
    report = rig.last(Tell).report
    ((chunk,), version) = report.entries, report.version
    assert version == 1
    assert chunk["zipFile"] == {
        "numEvents": 2,
        "objstoreID": 17,
        "lfn": made.group.lfn,
        "fsize": 99,
        "adler32": "0a1b2c3d",
        "pathConvention": 1000,
    }
    assert chunk["eventRanges"] == [{"eventRangeID": each, "eventStatus": "finished"} for each in (one, two)]


def test_es_9_the_next_archive_waits_for_the_gap():
    rig = Rig(gap_s=100.0)
    one, two, three = rig.fed(1, 2, 3)
    rig.output(one)
    rig.wait(1)
    rig.stage()
    rig.output(two)
    rig.wait(50)
    rig.output(three)
    assert len(rig.all(MakeTar)) == 1
    rig.wait(50)
    assert rig.last(MakeTar).group.ids == (two, three)


def test_an_archive_that_would_be_too_large_is_closed_before_its_time():
    rig = Rig(archive_bytes=25)
    one, two, three, four = rig.fed(1, 2, 3, 4)
    rig.output(one)
    rig.wait(1)
    rig.stage()
    for each in (two, three):
        rig.output(each, size=12)
    assert len(rig.all(MakeTar)) == 1
    rig.output(four, size=12)
    assert rig.last(MakeTar).group.ids == (two, three, four)


def test_two_files_of_one_name_do_not_meet_in_an_archive():
    rig = Rig()
    one, two = rig.fed(1, 2)
    rig.output(one, paths=("/j/a/out",))
    rig.output(two, paths=("/j/b/out",))
    rig.wait(1)
    assert rig.last(MakeTar).group.ids == (one,)
    rig.stage()
    rig.give(PayloadOver(well=True))
    rig.wait(1)
    assert rig.last(MakeTar).group.ids == (two,)


def test_an_archive_that_failed_gets_another_name_and_what_is_gone_fails_alone():
    rig = Rig(stage_out_retry_s=600.0)
    one, two = rig.fed(1, 2)
    rig.output(one)
    rig.output(two)
    rig.wait(1)
    rig.give(TarFailed(lfn=rig.last(MakeTar).group.lfn, text="no", missing=(two,)))
    assert (rig.state(one), rig.state(two)) == ("output", "error")
    rig.wait(599)
    assert len(rig.all(MakeTar)) == 1
    rig.wait(1)
    assert rig.last(MakeTar).group.lfn == f"EventService_premerge_{one}.2.tar"
    assert rig.last(MakeTar).group.ids == (one,)


def test_es_10_after_twenty_failures_nothing_is_handed_out_and_the_ranges_fail():
    rig = Rig(stage_out_retry_s=1.0, gap_s=0.0)
    (one, _) = rig.fed(1, 2)
    rig.output(one)
    for _ in range(20):
        rig.wait(1)
        rig.give(TarFailed(lfn=rig.last(MakeTar).group.lfn, text="no"))
    assert messages(rig.ready()) == ["No more events"]
    rig.give(PayloadOver(well=True))
    rig.wait(1)
    rig.give(TarFailed(lfn=rig.last(MakeTar).group.lfn, text="the storage is away"))
    rig.take()  # of the other range, of which nothing was heard
    codes = {entry["eventRangeID"]: entry["errorCode"] for entry in rig.last(Tell).report.entries}
    assert codes[one] == 1137
    rig.take()
    assert (rig.last(Finish).code, rig.last(Finish).sub_status) == (1224, "all_failed")


# ---------------------------------------------------------------- reports
def test_files_go_when_the_server_has_the_range_and_not_before():
    rig = Rig()
    one, two = rig.fed(1, 2)
    rig.output(one)
    rig.output(two)
    rig.wait(1)
    rig.stage()
    assert rig.all(Remove) == []
    rig.take(True, False)
    assert rig.last(Remove).paths == (f"/j/out.{one}", f"EventService_premerge_{one}.tar")
    assert (rig.state(one), rig.state(two)) == ("removed", "rejected")
    assert rig.last(Count) == Count(1)


def test_es_11_a_report_that_was_not_taken_is_sent_again_as_it_was():
    rig = Rig()
    (one,) = rig.fed(1)
    rig.output(one)
    rig.wait(1)
    rig.stage()
    first = rig.last(Tell)
    rig.give(ReportFailed(name=first.report.name, text="no"))
    rig.wait(9.9)
    assert len(rig.all(Tell)) == 1
    rig.wait(0.2)
    assert rig.all(Tell) == [first, first]
    assert len(rig.all(MakeTar)) == 1


def test_case_63_the_last_reports_are_tried_three_times():
    rig = Rig()
    (one,) = rig.fed(1)
    rig.output(one)
    rig.give(PayloadOver(well=True))
    rig.wait(1)
    rig.stage()
    for _ in range(3):
        rig.give(ReportFailed(name=rig.last(Tell).report.name, text="HTTP 500"))
        rig.wait(5)
    assert len(rig.all(Tell)) == 3
    assert rig.last(Finish).n_events == 0


def test_es_6_failures_are_reported_at_once_and_together_while_a_report_is_under_way():
    rig = Rig()
    ids = rig.fed(1, 2, 3)
    for each in ids:
        rig.give(Heard(peer="a", message=RangeError(range_id=each, name="ERR_X", text="ERR_X: no")))
    assert [entry["eventRangeID"] for entry in rig.last(Tell).report.entries] == ids[:1]
    rig.take()
    report = rig.last(Tell).report
    assert (report.version, [entry["eventRangeID"] for entry in report.entries]) == (0, ids[1:])
    assert report.entries[0] == {
        "eventRangeID": ids[1],
        "eventStatus": "failed",
        "errorCode": 1220,
        "errorDiag": "ERR_X: no",
    }


def test_a_thousand_ranges_for_each_report_of_one_archive():
    rig = Rig(core_count=600)
    ids = rig.fed(*range(1100))
    for each in ids:
        rig.output(each)
    rig.wait(1)
    rig.stage()
    first = rig.last(Tell).report
    rig.take()
    second = rig.last(Tell).report
    assert (len(first.ids), len(second.ids)) == (1000, 100)
    assert first.entries[0]["zipFile"] == second.entries[0]["zipFile"]
    assert first.entries[0]["zipFile"]["numEvents"] == 1100


def test_the_server_s_word_in_an_answer_to_a_report():
    rig = Rig()
    one, two = rig.fed(1, 2)
    rig.give(Heard(peer="a", message=RangeError(range_id=one, name="ERR_X", text="no")))
    rig.give(ReportTaken(name=rig.last(Tell).report.name, results=(True,), command="softkill"))
    assert rig.feeder.ledger.drain == "softkill"
    rig.give(Heard(peer="a", message=RangeError(range_id=two, name="ERR_X", text="no")))
    rig.give(ReportTaken(name=rig.last(Tell).report.name, results=(True,), command="tobekilled"))
    assert [each.code for each in rig.all(EndPayload)] == [1144]


def test_an_archive_stays_until_all_of_it_is_told():
    rig = Rig(core_count=600)
    for each in rig.fed(*range(1100)):
        rig.output(each)
    rig.wait(1)
    rig.stage()
    rig.take()
    lfn = rig.last(MakeTar).group.lfn
    assert lfn not in rig.last(Remove).paths
    rig.take()
    assert lfn in rig.last(Remove).paths


def test_es_23_what_is_said_twice_counts_once():
    rig = Rig()
    (one,) = rig.fed(1)
    rig.output(one)
    rig.output(one)
    rig.wait(1)
    rig.output(one)
    rig.stage()
    rig.take()
    before = len(rig.text)
    rig.output(one)
    rig.give(Heard(peer="a", message=RangeError(range_id=one, name="ERR_X", text="no")))
    assert len(rig.text) == before
    assert len(rig.all(MakeTar)) == 1


# ---------------------------------------------------------------- the end
def test_all_is_well():
    rig = Rig()
    (one,) = rig.fed(1)
    rig.ranges()
    rig.ready()
    rig.output(one)
    rig.wait(1)
    rig.stage()
    rig.take()
    rig.give(PayloadOver(well=True))
    rig.wait(0.5)
    assert rig.last(Finish) == Finish(n_events=1, code=0, text="", sub_status="all_success")


def test_es_5_an_output_after_the_payload_s_end_still_counts():
    rig = Rig()
    (one,) = rig.fed(1)
    rig.ranges()
    rig.ready()
    rig.give(PayloadOver(well=True))
    rig.wait(0.4)
    rig.output(one)
    rig.wait(0.4)
    assert rig.all(MakeTar) == []
    rig.wait(0.1)
    assert rig.last(MakeTar).group.ids == (one,)


@pytest.mark.parametrize(
    ("well", "told", "code", "job_code"),
    [(False, False, 1305, 0), (True, False, 1305, 1305), (True, True, 1220, 1224), (False, True, 1305, 0)],
)
def test_es_7_ranges_in_work_when_the_payload_ends(well, told, code, job_code):
    rig = Rig()
    rig.fed(1)
    rig.ranges()
    if told:
        rig.ready()
    rig.give(PayloadOver(well=well))
    rig.wait(1)
    assert [entry["errorCode"] for entry in rig.last(Tell).report.entries] == [code]
    rig.take()
    assert rig.last(Finish).code == job_code


def test_a_fatal_error_drains_and_fails_the_job():
    rig = Rig()
    one, _ = rig.fed(1, 2)
    rig.give(Heard(peer="a", message=RangeError(range_id=one, name="ERR_TE_FATAL", text="no file", fatal=True)))
    (entry,) = rig.last(Tell).report.entries
    assert (entry["eventStatus"], entry["errorCode"]) == ("fatal", 1228)
    assert messages(rig.ready()) == ["No more events"]
    rig.take()
    rig.give(PayloadOver(well=True))
    rig.wait(1)
    rig.take()
    assert (rig.last(Finish).code, rig.last(Finish).text) == (1228, "no file")


def test_es_15_a_range_without_a_word_ends_the_payload_once():
    rig = Rig(silent_range_s=500.0)
    rig.fed(1)
    rig.wait(499)
    assert rig.all(EndPayload) == []
    rig.wait(1)
    rig.wait(1000)
    assert [each.code for each in rig.all(EndPayload)] == [1150]


def test_a_payload_that_does_not_end_after_no_more_events_is_ended():
    rig = Rig(drain_s=1000.0)
    rig.fed(1)
    rig.ranges()
    rig.output(*range_ids(1))
    rig.ready()
    rig.wait(999)
    assert rig.all(EndPayload) == []
    rig.wait(1)
    assert [each.code for each in rig.all(EndPayload)] == [1150]


def test_without_a_limit_nothing_is_ended():
    rig = Rig(drain_s=0.0, silent_range_s=0.0)
    rig.fed(1)
    rig.give(Drain(text="softkill"))
    rig.wait(10**7)
    assert rig.all(EndPayload) == []


def test_the_flush_has_an_end():
    rig = Rig(flush_s=100.0)
    (one,) = rig.fed(1)
    rig.output(one)
    rig.give(PayloadOver(well=True))
    rig.wait(1)
    rig.wait(98)
    assert rig.all(Finish) == []
    rig.wait(1)
    assert len(rig.all(Finish)) == 1


# ---------------------------------------------------------------- deaths
def test_es_13_a_new_feeder_goes_on_with_what_the_ledger_says():
    old = Rig()
    one, two, three, four = old.fed(1, 2, 3, 4)
    old.ranges(5)
    old.output(one)
    old.wait(1)
    old.stage()
    old.output(two)
    new = old.again()
    assert [type(each) for each in new.asked if isinstance(each, Open | Tell)] == [Open, Tell]
    assert new.last(Tell).report == old.last(Tell).report
    assert {new.state(three), new.state(four)} == {"sent"}
    assert messages(new.ready("b")) == range_ids(5)


def test_an_archive_under_way_is_asked_for_again_as_it_was():
    old = Rig()
    one, two, three = old.fed(1, 2, 3)
    old.output(one)
    old.output(two)
    old.wait(1)
    old.output(three)
    new = old.again()
    assert new.all(MakeTar) == old.all(MakeTar)


def test_who_may_not_have_heard_of_its_range_gets_it_again_and_another_one_later():
    old = Rig()
    (one,) = old.fed(1)
    old.ranges(2, 3)
    new = old.again()
    assert messages(new.ready("a")) == [one]
    assert messages(new.ready("a")) == range_ids(2)
    later = old.again()
    later.wait(60)
    assert messages(later.ready("a")) == range_ids(2)


def test_a_line_that_a_death_tore_is_left_out():
    old = Rig()
    old.fed(1, 2)
    torn = Rig(old.text[:-20] + "\n")
    assert [torn.state(each) for each in range_ids(1, 2)] == ["sent", "fetched"]


def test_a_request_that_was_not_answered_is_made_again_under_its_number():
    old = Rig()
    old.ranges(1)
    assert old.again().all(AskRanges) == [AskRanges(2, 4)]


def test_what_was_drained_stays_drained():
    old = Rig()
    old.fed(1)
    old.ranges(2, 3)
    old.give(Drain(text="softkill"))
    assert messages(old.again().ready("z")) == ["No more events"]


@pytest.mark.parametrize("why", ["empty", "failed", "softkill"])
def test_an_end_before_the_payload_of_which_nobody_heard_is_told_again(why):
    old = Rig(retry_s=())
    if why == "softkill":
        old.give(Drain(text="softkill"))
    else:
        old.give(RangesFailed(number=1, text="away") if why == "failed" else RangesCame(number=1, ranges=()))
    assert old.all(GiveUp)
    assert old.again().all(GiveUp) == old.all(GiveUp)


def test_an_answer_that_names_a_range_twice_hands_it_out_once():
    rig = Rig()
    rig.give(RangesCame(number=1, ranges=as_ranges(range_ids(1, 1))))
    assert len([*rig.ready(), *rig.ready()]) == 1


def test_after_softkill_archives_wait_for_no_gap_but_for_the_pause_after_a_failure():
    rig = Rig(stage_out_retry_s=50.0)
    one, two, three = rig.fed(1, 2, 3)
    rig.output(one)
    rig.wait(1)
    rig.stage()
    rig.output(two)
    rig.give(Drain(text="softkill"))
    rig.wait(0.5)
    made = rig.last(MakeTar).group
    assert made.ids == (two,)
    rig.give(TarFailed(lfn=made.lfn, text="no"))
    rig.wait(49)
    assert len(rig.all(MakeTar)) == 2
    rig.wait(1)
    assert len(rig.all(MakeTar)) == 3
    new = rig.again()
    new.output(three)
    new.stage()
    new.wait(0.5)
    assert new.last(MakeTar).group.ids == (three,)


def test_nothing_is_asked_of_a_feeder_at_rest():
    rig = Rig(drain_s=0.0, silent_range_s=0.0)
    rig.ranges(1, 2, 3)
    assert rig.feeder.next_deadline() is None
