"""Everything that is decided at start, in one frozen object passed down to who needs it.

Command line names are those of the pilots in use (behaviour 1), configuration names those of their file (behaviour 2);
`[Bulkhead]` keys of the file and `--set key=value` are the fields of `Tuning` and `Limits`.
"""

from dataclasses import dataclass, field

from settings.handover import SERVER_ONLY, Handover

VERSION = "0.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How the pilot supervises itself. Periods and limits in seconds."""

    beat_s: float = 5.0
    silence_s: float = 20.0
    hello_s: float = 15.0
    restart_burst: int = 5
    restart_period_s: float = 300.0
    restart_delay_s: float = 0.5
    poison_deaths: int = 3
    task_attempts: int = 3
    task_retry_s: float = 2.0
    kill_grace_s: float = 25.0
    report_reserve_s: float = 5.0
    term_grace_s: float = 3.0
    kill_term_grace_s: float = 0.7
    orphan_grace_s: float = 10.0
    retry_first_s: float = 0.5
    retry_cap_s: float = 8.0
    retry_long_cap_s: float = 60.0
    retry_long_after_s: float = 600.0
    supersede_after_s: float = 1.0
    transfer_parallel: int = 4
    transfer_attempts: int = 3
    stall_limit_s: float = 300.0
    transfer_setup_s: float = 400.0
    transfer_bytes_per_s: float = 1_000_000.0
    transfer_limit_s: float = 10_800.0
    sample_s: float = 10.0
    pulse_s: float = 60.0
    getjob_pause_s: float = 60.0
    getjob_time_left_s: float = 600.0
    queue_pause_s: float = 15.0
    life_grace_s: float = 180.0
    status_wait_s: float = 5.0
    job_file_wait_s: float = 10.0
    job_file_tries: int = 60
    worker_heartbeat_s: float = 60.0
    es_drain_s: float = 1800.0
    es_retry_s: float = 10.0
    es_stage_out_retry_s: float = 600.0
    signal_codes: str = "bulkhead"
    ballast_bytes: int = 4 * 1024 * 1024
    crash_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a job may use; 0 switches a limit off (behaviour 10)."""

    free_space_bytes: int = 2 * 1024**3
    free_space_running_bytes: int = 1024**3
    looping_limit_s: float = 7200.0
    stdout_bytes: int = 2 * 1024**3
    output_file_bytes: int = 500 * 1024**3
    wall_grace: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One pilot's settings."""

    # who and where
    queue: str
    pilot_user: str = "generic"
    workflow: str = "generic"
    job_label: str = "ptest"
    version_tag: str = "PR"
    workdir: str = ""
    launch_dir: str = "."
    isolation: str = "process"
    cleanup: bool = True
    debug: bool = False
    redirect_stdout: str = ""
    no_pilot_log: bool = False
    check_cvmfs: bool = True
    pod: bool = False
    # the server
    url: str = ""
    port: int = 25443
    server_api: str = "v1"
    update_server: bool = True
    worker_status: bool = True
    queuedata_url: str = ""
    storagedata_url: str = ""
    queues_url: str = ""
    information_cache_dir: str = ""
    acopytools: str = ""
    ca_cert: str = ""
    ca_path: str = ""
    verify_proxy: bool = True
    verify_payload_proxy: bool = True
    payload_proxy_from_server: bool = True
    token_renewal: bool = True
    proxy_check_s: float = 600.0
    token_renewal_s: float = 3600.0
    http_connect_timeout_s: float = 100.0
    http_timeout_s: float = 120.0
    heartbeat_s: float = 1800.0
    debug_heartbeat_s: float = 60.0
    lost_heartbeat_s: float = 10_800.0
    # which jobs, how many
    getjob_requests: int = 2
    getjob_failures: int = 5
    allow_same_user: bool = True
    job_type: str = ""
    resource_type: str = ""
    lifetime_s: float = 324000.0
    enable_load_delay: bool = False
    load_factor: float = 1.2
    fake_job: bool = False
    fake_type: str = "production"
    fake_command: str = "normal"
    job_file: str = ""
    report_file: str = ""
    # traces of transfers
    use_rucio_traces: bool = True
    rucio_host: str = ""
    rucio_url: str = ""
    # real-time logs
    use_realtime_logging: bool = False
    realtime_logging_server: str = ""
    realtime_logname: str = ""
    handover: Handover = SERVER_ONLY
    #: The pilot's main directory (PILOT_HOME); known once its place is made.
    home: str = ""
    # transfers
    base_urls: tuple[str, ...] = ()
    input_dir: str = ""
    input_destination_dir: str = ""
    output_dir: str = ""
    # node facts, read once at start
    node: str = "unknown"
    batch_type: str = ""
    batch_id: str = ""
    scheduler_id: str = "unknown"
    harvester_id: str = ""
    harvester_worker_id: str = ""
    gtag: str = "unknown"
    cpu_model: str = "UNKNOWN"
    cpu_sets: tuple[str, ...] = ()
    cpu_level: str = ""
    machine_hs06: float = 0.0
    machine_cpus: float = 0.0
    glidein_schedd: str = ""
    glidein_site: str = ""
    memory_mb: int = 0
    python: str = ""
    platform: str = ""
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    tuning: Tuning = Tuning()
    limits: Limits = Limits()
    warnings: tuple[str, ...] = ()

    @property
    def pilot_id(self) -> str:
        """Return "<GTAG>|<batch type>|<version tag>|<pilot version>", without the batch part when none (3.4)."""
        return "|".join(part for part in (self.gtag, self.batch_type, self.version_tag, VERSION) if part)

    @property
    def cpu_consumption_unit(self) -> str:
        """Return "s+<cpu model>[+AVX2]" (3.3)."""
        return "+".join(("s", self.cpu_model, *self.cpu_sets))
