"""Where files come from and go to: conformance case 68, hostile input H040."""

import pytest
from queue_texts import job_of, queue_of, storages_of

from queues.choice import Chooser, Destination, Places, Replica
from queues.faults import PlacementError
from queues.paths import deterministic_path

PLACES = Places(job_dir="/pilot/main/PanDA_Pilot-1", main_dir="/pilot/main")
IN = deterministic_path("mc23", "in.root")
OUT = deterministic_path("mc23", "f.root")
DISK = "EXAMPLE-PROD_DATADISK"


def chooser(*, queue=None, job=None, places=PLACES, known=("cp", "mv", "ln"), storages=None):
    queue = queue_of(**{"acopytools": {}, "copytools": {"mv": {}}, "acopytools_schemas": {}, **(queue or {})})
    return Chooser(job_of(**(job or {})), queue, storages_of() if storages is None else storages, places, known)


def paths(found):
    return [place.url for place in found]


def test_mv_links_from_above_and_moves_above():
    chosen = chooser(queue={"astorages": {}})
    assert chosen.inputs() == ((Replica("ln", "/pilot/main/in.root"),),)
    assert chosen.outputs() == ((Destination("mv", "/pilot/main/f.root", "/pilot/main/f.root"),),)
    assert chosen.log() == (Destination("mv", "/pilot/main/f.log.tgz", "/pilot/main/f.log.tgz"),)


def test_order_of_local_sources():
    places = Places(job_dir="/m/j", launch_dir="/launch", input_dir="/in", input_destination_dir="/cache/dest/")
    chosen = chooser(job={"ddmEndPointIn": "LOCAL_DISK"}, places=places)
    assert paths(chosen.inputs()[0]) == [
        "/in/in.root",
        "/cache/in.root",
        "/cache/dest/in.root",
        f"file://localhost/mnt/rse/{IN}",
        "file://localhost/mnt/rse/in.root",
        "/m/in.root",
        "/launch/in.root",
    ]


def test_cp_does_not_look_around_the_destination_directory():
    places = Places(job_dir="/m/j", input_destination_dir="/cache/dest")
    assert paths(chooser(queue={"copytools": {"cp": {}}}, places=places).inputs()[0]) == ["/m/in.root"]


def test_output_directory_wins():
    places = Places(job_dir="/m/j", output_dir="/out")
    chosen = chooser(queue={"astorages": {"write_lan": ["LOCAL_DISK"]}}, places=places)
    assert paths(chosen.outputs()[0]) == ["/out/f.root"]
    assert paths(chosen.log()) == ["/out/f.log.tgz"]


@pytest.mark.parametrize(("tool", "mover"), [("mv", "mv"), ("cp", "cp"), ("ln", "cp")])
def test_mounted_storage(tool, mover):
    chosen = chooser(queue={"copytools": {tool: {}}, "astorages": {"write_lan": ["LOCAL_DISK"]}})
    url = f"file://localhost/mnt/rse/{OUT}"
    assert chosen.outputs() == ((Destination(mover, url, url, "LOCAL_DISK"),),)


@pytest.mark.parametrize(
    ("storage", "surl"),
    [
        (DISK, f"davs://se.example.org:443/atlas/datadisk/rucio/{OUT}"),
        ("EXAMPLE-PROD_ES", "s3://os.example.org:443/atlas-eventservice/f.root"),
    ],
)
def test_case_68_a_file_left_beside_the_job_is_reported_where_arc_brings_it(storage, surl):
    """The storage that the job asks for is not one of the queue's: URL and endpoint are those of the queue's first."""
    chosen = chooser(queue={"astorages": {"write_lan": [storage]}}, job={"ddmEndPointOut": "OTHER,OTHER"})
    assert chosen.outputs() == ((Destination("mv", "/pilot/main/f.root", surl, storage),),)


def test_several_tools_are_tried_in_order():
    chosen = chooser(queue={"acopytools": {"read_lan": ["rucio", "cp", "mv", "cp"]}}, places=Places(job_dir="/m/j"))
    assert chosen.inputs()[0] == (Replica("cp", "/m/in.root"), Replica("ln", "/m/in.root"))


def test_h040_unknown_tools_are_named():
    chosen = chooser(queue={"acopytools": {"read_lan": ["rucio", "xyz"], "pl": ["abc"]}})
    for call in (chosen.inputs, chosen.log):
        with pytest.raises(PlacementError) as caught:
            call()
        assert (caught.value.code, caught.value.field) == (1323, "copytools")
    assert "abc" in str(caught.value)


def test_no_tools_at_all_means_rucio():
    with pytest.raises(PlacementError, match="rucio") as caught:
        chooser(queue={"copytools": {}}).outputs()
    assert caught.value.code == 1323


def test_job_without_inputs_needs_no_tool():
    assert chooser(queue={"copytools": {}}, job={"inFiles": "", "scopeIn": ""}).inputs() == ()
    assert chooser(job={"logFile": "", "outFiles": "f.root"}).log() == ()


@pytest.mark.parametrize(
    ("astorages", "code"),
    [
        ({}, 1133),
        ({"w": ["NOT_KNOWN"]}, 1133),
        ({"write_lan": [DISK]}, 1313),
        ({"w": ["EXAMPLE-PROD_SCRATCHDISK"]}, 1329),
    ],
)
def test_cp_without_a_place_to_write(astorages, code):
    with pytest.raises(PlacementError) as caught:
        chooser(queue={"copytools": {"cp": {}}, "astorages": astorages}).outputs()
    assert (caught.value.code, caught.value.field) == (code, "f.root")


def test_cp_and_a_file_on_a_remote_storage():
    with pytest.raises(PlacementError) as caught:
        chooser(queue={"copytools": {"cp": {}}}, job={"ddmEndPointIn": DISK}).inputs()
    assert (caught.value.code, caught.value.field) == (1313, "in.root")


def test_cp_and_a_google_source():
    with pytest.raises(PlacementError) as caught:
        chooser(queue={"copytools": {"cp": {}}}, job={"inFiles": "gs://b/in.root"}).inputs()
    assert caught.value.code == 1313


def test_input_directory_serves_files_of_remote_storages():
    places = Places(job_dir="/m/j", input_dir="/in")
    chosen = chooser(queue={"copytools": {"cp": {}}}, job={"ddmEndPointIn": DISK}, places=places)
    assert paths(chosen.inputs()[0])[0] == "/in/in.root"


GFAL = {"copytools": {"gfal": {}}}


@pytest.mark.parametrize(
    ("alt_queue", "alt_job", "endpoints"),
    [
        (None, None, [DISK]),
        (None, "on", [DISK, "LOCAL_DISK"]),
        (True, "off", [DISK, "LOCAL_DISK"]),
        (False, "on", [DISK]),
    ],
)
def test_case_68_wanted_endpoint_not_in_the_list(alt_queue, alt_job, endpoints):
    chosen = chooser(
        queue={**GFAL, "astorages": {"write_lan": [DISK]}, "params": {"allow_altstageout": alt_queue},
               "acopytools_schemas": {"write_lan": ["davs", "file"]}},
        job={"ddmEndPointOut": "LOCAL_DISK", "altStageOut": alt_job},
        known=("gfal",),
    )  # fmt: skip
    found = chosen.outputs()[0]
    assert [place.endpoint for place in found] == endpoints
    assert [place.alternative for place in found] == [False, True][: len(found)]


def test_wanted_endpoint_in_the_list_stays():
    chosen = chooser(
        queue={**GFAL, "astorages": {"write_lan": ["EXAMPLE-PROD_ES", DISK]}},
        job={"ddmEndPointOut": DISK},
        known=("gfal",),
    )
    assert chosen.outputs()[0][0].url == f"davs://se.example.org:443/atlas/datadisk/rucio/{OUT}"


def test_nucleus_is_no_alternative():
    queue = {
        **GFAL,
        "astorages": {"write_lan": ["LOCAL_DISK", DISK]},
        "acopytools_schemas": {"default": ["file", "davs"]},
    }
    chosen = chooser(queue=queue, job={"nucleus": "EXAMPLE-PROD"}, known=("gfal",))
    assert [place.endpoint for place in chosen.outputs()[0]] == ["LOCAL_DISK"]


def test_remote_tool_reads_by_the_deterministic_path():
    queue = {**GFAL, "acopytools_schemas": {"read_lan": {"gfal": ["davs"]}}}
    chosen = chooser(queue=queue, job={"ddmEndPointIn": DISK}, known=("gfal",))
    assert chosen.inputs()[0][0] == Replica("gfal", f"davs://se.example.org:443/atlas/datadisk/rucio/{IN}", DISK)


def test_user_job_on_a_unified_queue_uses_the_analysis_lists():
    queue = {
        "acopytools": {"read_lan_analysis": ["cp"], "read_lan": ["ln"]},
        "astorages": {"write_lan_analysis": ["LOCAL_DISK"]},
    }
    user = {"transformation": "http://h/x"}
    assert chooser(queue=queue, job=user).inputs()[0][0].copytool == "cp"
    assert chooser(queue=queue).inputs()[0][0].copytool == "ln"
    assert chooser(queue={**queue, "acopytools": {"w": ["mv"]}}, job=user).outputs()[0][0].endpoint == "LOCAL_DISK"


def test_merge_job_reads_events():
    queue = {"acopytools": {"es_events_read": ["cp"], "read_lan": ["ln"]}}
    assert chooser(queue=queue, job={"eventServiceMerge": "True"}).inputs()[0][0].copytool == "cp"
