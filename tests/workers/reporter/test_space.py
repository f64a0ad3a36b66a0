"""Free disk before a job request."""

import json
from dataclasses import replace

from settings.settings import Limits, Settings
from workers.reporter.space import lack_of_space, with_space


def _settings(tmp_path, free_space_bytes):
    return Settings(queue="Q", workdir=str(tmp_path), limits=Limits(free_space_bytes=free_space_bytes))


def test_too_little_space_is_1098_and_names_the_place(tmp_path):
    failure = lack_of_space(_settings(tmp_path, 2**60))
    assert (failure.code, failure.retry) == (1098, False)
    assert str(tmp_path) in failure.text


def test_enough_space_is_no_failure(tmp_path):
    assert lack_of_space(_settings(tmp_path, 1)) is None
    assert lack_of_space(replace(_settings(tmp_path, 1), workdir=f"{tmp_path}/gone")) is None


def test_case_19_disk_space_is_the_smaller_of_free_and_maxwdir(tmp_path):
    settings = _settings(tmp_path, 1)
    assert json.loads(with_space(settings, '{"disk_space": 7}'))["disk_space"] == 7
    unlimited = json.loads(with_space(settings, '{"disk_space": 0}'))["disk_space"]
    assert unlimited > 7
    assert json.loads(with_space(settings, f'{{"disk_space": {2**50}}}'))["disk_space"] == unlimited
