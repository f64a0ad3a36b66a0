"""The description of the worker node: once, if the experiment wants it, and nothing depends on it."""

import json

import pytest
from pilot_rig import QUEUE_TEXT, Rig

from ipc.results import NodeDescribed, QueueFetched
from ipc.tasks import AcquireJob, DescribeNode, FetchQueue


class Experiment:
    def describes_node(self):
        return True


def rig_with_queue():
    rig = Rig()
    rig.done(FetchQueue, QueueFetched(queue_text=QUEUE_TEXT, storage_text="{}"))
    return rig


def kinds(rig):
    return [type(given.task) for given in rig.assigned]


def test_the_generic_experiment_does_not_describe_its_node():
    assert kinds(rig_with_queue()) == [FetchQueue, AcquireJob]


@pytest.fixture
def rig(monkeypatch):
    monkeypatch.setattr("workflows.node.experiment", lambda _name: Experiment())
    return rig_with_queue()


def test_it_is_described_once(rig):
    assert kinds(rig) == [FetchQueue, DescribeNode, AcquireJob]
    task = rig.last(DescribeNode).task
    assert (task.queue, task.home, task.send) == (json.loads(QUEUE_TEXT)["nickname"], "/m", True)
    rig.done(DescribeNode, NodeDescribed(note="nobody listened"))
    rig.wait(1000)
    assert kinds(rig).count(DescribeNode) == 1


def test_a_failure_ends_nothing(rig):
    rig.failed(DescribeNode, 1318, retry=False)
    rig.wait(10)
    assert not rig.ledger.hunt.over
    assert kinds(rig).count(DescribeNode) == 1
