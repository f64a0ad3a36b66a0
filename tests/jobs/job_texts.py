"""Job definitions for the tests: the smallest one, and one of each kind with the server's whole key set."""

import json
from typing import Any

SMALL: dict[str, Any] = {"PandaID": 4711, "attemptNr": 3, "transformation": "run.sh", "jobPars": "--x 1"}

PRODUCTION: dict[str, Any] = {
    "StatusCode": 0,
    "PandaID": 6712345678,
    "attemptNr": 1,
    "taskID": 41234567,
    "jobsetID": 0,
    "jobDefinitionID": 0,
    "prodSourceLabel": "managed",
    "swRelease": "Atlas-25.0.14",
    "homepackage": "Athena/25.0.14",
    "transformation": "Reco_tf.py",
    "jobName": "mc23.601229.recon._000123.job",
    "cloud": "WORLD",
    "jobPars": "--inputHITSFile=HITS.1._000777.pool.root.1 --maxEvents=2000 --multithreaded=True",
    "inFiles": "HITS.1._000777.pool.root.1,HITS.1._000778.pool.root.1",
    "realDatasetsIn": "mc23:mc23.simul.HITS.tid1_00,mc23:mc23.simul.HITS.tid1_00",
    "GUID": "0A1B2C3D-0001-4AAA-8BBB-0000000000A1,0A1B2C3D-0001-4AAA-8BBB-0000000000A2",
    "fsize": "1843204096,1839000111",
    "checksum": "ad:1f2e3d4c,ad:5b6a7988",
    "scopeIn": "mc23,mc23",
    "ddmEndPointIn": "CERN-PROD_DATADISK,CERN-PROD_DATADISK",
    "prodDBlockToken": "NULL,NULL",
    "outFiles": "AOD.1._000123.pool.root.1,HIST.1._000123.root,log.1._000123.job.log.tgz.1",
    "realDatasets": "mc23.recon.AOD,mc23.recon.HIST,mc23.recon.log",
    "ddmEndPointOut": "CERN-PROD_DATADISK,CERN-PROD_DATADISK,CERN-PROD_DATADISK",
    "scopeOut": "mc23,mc23",
    "scopeLog": "mc23",
    "logFile": "log.1._000123.job.log.tgz.1",
    "logGUID": "3f0f2d0e-7c55-4a0b-9f0e-0d5b9c2a1f11",
    "allowNoOutput": "HIST.1._000123.root",
    "altStageOut": "on",
    "maxCpuCount": 86400,
    "minRamCount": 14000,
    "maxDiskCount": 12000,
    "maxWalltime": 172800,
    "coreCount": 8,
    "cmtConfig": "x86_64-el9-gcc13-opt",
    "transferType": "NULL",
    "resource_type": "MCORE",
    "prodUserID": "prodmgr",
}

ANALYSIS: dict[str, Any] = {
    "PandaID": 6712345999,
    "attemptNr": 2,
    "prodSourceLabel": "user",
    "swRelease": "NULL",
    "debug": "True",
    "transformation": "http://pandaserver.example.org:25085/trf/user/runcontainer",
    "jobPars": '-p "python3%20run.py" -i "[\'a.root\']" --containerImage docker://atlas/analysisbase:25.2.0 -r ./',
    "container_name": "docker://atlas/other:1",
    "cmtConfig": "x86_64-el9-gcc13-opt@el9",
    "transferType": "direct",
    "inFiles": "a.root,user.jdoe.99.lib.tgz,b.root",
    "prodDBlockToken": "NULL,NULL,local",
    "scopeIn": "x,user.jdoe,x",
    "outFiles": "user.jdoe.1.hist.root,user.jdoe.1.log.tgz",
    "scopeOut": "user.jdoe",
    "scopeLog": "user.jdoe",
    "logFile": "user.jdoe.1.log.tgz",
    "secrets": '{"TOKEN_A": "canary-4711"}',
    "pilotSecrets": {"K": "canary-4712"},
}

HPO: dict[str, Any] = {
    "PandaID": 6712500001,
    "attemptNr": 0,
    "transformation": "http://pandaserver.example.org/trf/user/runHPO",
    "jobPars": "-o x",
    "cmtConfig": "",
    "isHPO": "True",
    "eventService": "True",
    "loopingCheck": False,
    "maxWalltime": "NULL",
    "coreCount": "NULL",
    "preprocess": {"command": "http://pandaserver.example.org/trf/user/preHPO", "args": '-j "" --in a.json'},
    "coprocess": {"command": "co.sh", "args": None},
    "containerOptions": {"containerExec": "__run_main_exec.sh", "containerImage": "docker://tf/tf:latest-gpu"},
}


def text_of(base: dict[str, Any] = SMALL, **changes: Any) -> str:
    """Return a definition as JSON, with keys replaced."""
    return json.dumps({**base, **changes})
