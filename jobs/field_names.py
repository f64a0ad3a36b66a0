"""The names of a job update's fields: v1 (`update_job`) and legacy (`updateJob`, Harvester's and ARC's files).

The types are the same but for what `slot.legacy` and the legacy dialect say (panda-protocol 3.2, 5.4, 6).
"""

from collections.abc import Mapping
from types import MappingProxyType

#: v1 name -> legacy name, in the order of the server's signature.
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
    }
)


def to_legacy(body: Mapping[str, object]) -> dict[str, object]:
    """Return an update with legacy names, values and order unchanged; a name that is not in the table is left out."""
    return {LEGACY_NAMES[name]: value for name, value in body.items() if name in LEGACY_NAMES}
