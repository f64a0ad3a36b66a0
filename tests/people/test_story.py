"""A run told from pictures."""

from people.story import Story


def picture(wall: float, *, jobs=(), workers=(), **more) -> dict:
    return {"wall": wall, "waiting_updates": 0, "over": "", "ending": "", "jobs": jobs, "workers": workers, **more}


def job(state: str, job_id: int = 7, **more) -> dict:
    basis = {"error_code": 0, "error_diag": "", "payload_pid": 0, "usage": None}
    return {"job_id": job_id, "attempt_nr": 1, "state": state, **basis, **more}


def worker(role: str, pid: int, restarts: int = 0, progress=()) -> dict:
    return {"role": role, "phase": "running", "pid": pid, "restarts": restarts, "progress": progress}


def texts(news) -> list[str]:
    return [item.text for item in news]


def test_phases_follow_each_other_with_their_times():
    story = Story(1, 100.0)
    assert texts(story.see(picture(101.0, jobs=[job("staging_in")]))) == ["job 7: staging in"]
    assert story.see(picture(102.0, jobs=[job("staging_in")])) == []
    story.see(picture(103.0, jobs=[job("running")]))
    assert [(p.state, p.began_wall, p.ended_wall) for p in story.jobs[7].phases] == [
        ("staging_in", 101.0, 103.0),
        ("running", 103.0, 0.0),
    ]


def test_a_job_that_is_no_longer_there_has_ended():
    story = Story(1, 100.0)
    story.see(picture(101.0, jobs=[job("reporting")]))
    assert texts(story.see(picture(102.0))) == ["job 7: finished, and the server knows"]
    assert story.see(picture(103.0)) == []
    assert story.jobs[7].over_wall == 102.0


def test_a_job_that_is_done_and_then_gone_is_told_once():
    story = Story(1, 100.0)
    story.see(picture(101.0, jobs=[job("reporting", error_code=1201, error_diag="killed")]))
    assert texts(story.see(picture(102.0, jobs=[job("done")]))) == ["job 7: failed, and the server knows"]
    assert story.see(picture(103.0)) == []


def test_an_error_is_told_once():
    story = Story(1, 100.0)
    failing = job("failing", error_code=1305, error_diag="bad")
    assert texts(story.see(picture(1.0, jobs=[failing]))) == ["job 7: error 1305: bad", "job 7: failing"]
    assert story.see(picture(2.0, jobs=[failing])) == []


def test_bytes_belong_to_the_phase_that_moves_them():
    story = Story(1, 100.0)
    progress = {
        "lease": "7.1:stage-in/1/5",
        "step": "stage-in",
        "name": "a",
        "bytes_done": 5,
        "bytes_total": 9,
        "files_done": 1,
        "files_total": 2,
    }
    story.see(picture(1.0, jobs=[job("staging_in")], workers=[worker("stager", 5, progress=[progress])]))
    phase = story.jobs[7].phase("staging_in")
    assert phase is not None
    assert (phase.bytes_done, phase.bytes_total, phase.files_done, phase.files_total) == (5, 9, 1, 2)


def test_a_worker_in_the_place_of_a_dead_one_is_told():
    story = Story(1, 100.0)
    story.see(picture(1.0, workers=[worker("stager", 5)]))
    assert story.see(picture(2.0, workers=[worker("stager", 5)])) == []
    news = story.see(picture(3.0, workers=[worker("stager", 6, restarts=1)]))
    assert texts(news) == ["the stager, process 5, is dead; process 6 has taken its place"]
    assert story.workers["stager"].restarts == 1


def test_new_workers_of_a_new_supervisor_are_no_restarts():
    story = Story(1, 100.0)
    story.supervisor_seen(2, 100.5)
    story.see(picture(1.0, jobs=[job("running")], workers=[worker("stager", 5)]))
    assert "the guardian starts it again" in texts(story.supervisor_lost(2, 2.0))[0]
    assert "is back as process 3" in texts(story.supervisor_seen(3, 3.0))[0]
    assert story.see(picture(4.0, jobs=[job("running")], workers=[worker("stager", 9)])) == []
    assert (story.supervisor_restarts, story.workers["stager"].restarts) == (1, 0)


def test_a_supervisor_that_has_nothing_left_to_do_is_not_missed():
    story = Story(1, 100.0)
    story.supervisor_seen(2, 100.5)
    story.see(picture(1.0, jobs=[job("running")]))
    story.see(picture(2.0, over="one job for each pilot"))
    assert story.supervisor_lost(2, 3.0) == []
    assert story.supervisor_restarts == 0
