"""The names of a job update's fields: v1 (`update_job`) and legacy (`updateJob`, Harvester's and ARC's files).

The one place where both are (panda-protocol 3.2, 5.4, 6); other calls are in workers/reporter/call_names.py.
"""

import time
from collections.abc import Mapping
from types import MappingProxyType

#: v1 name -> legacy name, in the order of the server's signature (update-fields.json).
LEGACY_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "job_id": "jobId",
        "job_status": "state",
        "job_output_report": "xml",
        "node": "node",
        "cpu_consumption_time": "cpuConsumptionTime",
        "cpu_consumption_unit": "cpuConsumptionUnit",
        "scheduler_id": "schedulerID",
        "pilot_id": "pilotID",
        "site_name": "siteName",
        "pilot_log": "pilotLog",
        "meta_data": "metaData",
        "cpu_conversion_factor": "cpuConversionFactor",
        "trans_exit_code": "transExitCode",
        "pilot_error_code": "pilotErrorCode",
        "pilot_error_diag": "pilotErrorDiag",
        "exe_error_code": "exeErrorCode",
        "exe_error_diag": "exeErrorDiag",
        "pilot_timing": "pilotTiming",
        "start_time": "startTime",
        "end_time": "endTime",
        "n_events": "nEvents",
        "n_input_files": "nInputFiles",
        "batch_id": "batchID",
        "attempt_nr": "attemptNr",
        "job_metrics": "jobMetrics",
        "stdout": "stdout",
        "job_sub_status": "jobSubStatus",
        "core_count": "coreCount",
        "max_rss": "maxRSS",
        "max_vmem": "maxVMEM",
        "max_swap": "maxSWAP",
        "max_pss": "maxPSS",
        "avg_rss": "avgRSS",
        "avg_vmem": "avgVMEM",
        "avg_swap": "avgSWAP",
        "avg_pss": "avgPSS",
        "tot_rchar": "totRCHAR",
        "tot_wchar": "totWCHAR",
        "tot_rbytes": "totRBYTES",
        "tot_wbytes": "totWBYTES",
        "rate_rchar": "rateRCHAR",
        "rate_wchar": "rateWCHAR",
        "rate_rbytes": "rateRBYTES",
        "rate_wbytes": "rateWBYTES",
        "corrupted_files": "corruptedFiles",
        "mean_core_count": "meanCoreCount",
        "cpu_architecture_level": "cpu_architecture_level",
        "grid": "grid",
        "source_site": "source_site",
        "destination_site": "destination_site",
        "timeout": "timeout",
    }
)
_V1_NAMES: Mapping[str, str] = MappingProxyType({legacy: v1 for v1, legacy in LEGACY_NAMES.items()})


def to_legacy(body: Mapping[str, object]) -> dict[str, object]:
    """Return an update with legacy names, values and order unchanged; a name that is not in the table is left out."""
    return {LEGACY_NAMES[name]: value for name, value in body.items() if name in LEGACY_NAMES}


def to_v1(body: Mapping[str, object]) -> dict[str, object]:
    """Return an update with v1 names; what v1 does not know (`timestamp`) is left out, a job id in text is a number."""
    found = {_V1_NAMES[name]: value for name, value in body.items() if name in _V1_NAMES}
    job_id = found.get("job_id")
    if isinstance(job_id, str) and job_id.isascii() and job_id.isdigit() and len(job_id) < 20:
        found["job_id"] = int(job_id)
    return found


def legacy_timestamp(wall: float) -> str:
    """Return an epoch time as the legacy `timestamp`: local time with the offset of standard time (3.2)."""
    minutes = -time.timezone // 60
    sign = "-" if minutes < 0 else "+"
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(wall))
    return f"{clock}{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
