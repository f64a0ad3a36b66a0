"""The processor in words, as the server's accounting wants it (panda-protocol 3.3), from the text of /proc/cpuinfo."""

import re

UNKNOWN = "UNKNOWN"
_ARM = re.compile(r"^CPU implementer\s*:", re.MULTILINE)


def cpu_model(cpuinfo: str) -> str:
    """Return "<model name> <cache size>" with cores per socket, HT and sockets; "ARM", or "UNKNOWN"."""
    name = _first(cpuinfo, "model name")
    if not name:
        return "ARM" if _ARM.search(cpuinfo) else UNKNOWN
    text = " ".join(f"{name} {_first(cpuinfo, 'cache size')}".split())
    cores = _number(cpuinfo, "cpu cores")
    if cores and "-Core" not in text:
        cored = f"{cores}-Core Processor"
        text = text.replace("Processor", cored, 1) if "Processor" in text else f"{text} {cored}"
    if cores and _number(cpuinfo, "siblings") == 2 * cores:
        text += " HT"
    sockets = len(set(_all(cpuinfo, "physical id")))
    if sockets:
        text += f" {sockets}-Socket{'s' if sockets > 1 else ''}"
    return text


def cpu_sets(cpuinfo: str) -> tuple[str, ...]:
    """Return the instruction sets that are reported: AVX2 or none."""
    return ("AVX2",) if "avx2" in _first(cpuinfo, "flags").lower().split() else ()


#: The kernel's names of what each level of x86-64 adds to the one below (psABI); abm is lzcnt, pni is SSE3.
_LEVELS = (
    ("x86-64-v2", "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"),
    ("x86-64-v3", "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"),
    ("x86-64-v4", "avx512f avx512bw avx512cd avx512dq avx512vl"),
)


def cpu_level(cpuinfo: str) -> str:
    """Return the x86-64 level of the processor ("x86-64-v3"), "" where it has none."""
    flags = set(_first(cpuinfo, "flags").lower().split())
    if "lm" not in flags:
        return ""
    found = "x86-64-v1"
    for level, needed in _LEVELS:
        if not flags.issuperset(needed.split()):
            break
        found = level
    return found


def _all(cpuinfo: str, key: str) -> list[str]:
    return [value.strip() for value in re.findall(rf"^{key}[ \t]*:(.*)$", cpuinfo, re.MULTILINE)]


def _first(cpuinfo: str, key: str) -> str:
    values = _all(cpuinfo, key)
    return values[0] if values else ""


def _number(cpuinfo: str, key: str) -> int:
    text = _first(cpuinfo, key)
    return int(text) if re.fullmatch(r"\d{1,6}", text, re.ASCII) else 0
