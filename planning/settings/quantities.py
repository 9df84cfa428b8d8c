"""Sizes, durations and bandwidths as people write them in a stack file."""

import re
from fractions import Fraction

MiB = 1024**2
GiB = 1024**3
GB = 1000**3

QUANTITY = r"[0-9]+(\.[0-9]+)?(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?"
CPU = r"[0-9]+(\.[0-9]+)?|[0-9]+m"
DURATION = r"([0-9]+h)?([0-9]+m)?([0-9]+s)?"
BANDWIDTH = r"[0-9]+(\.[0-9]+)?(M|G)bit"

_SUFFIXES = {
    "": 1,
    **{suffix: 1000 ** (power + 1) for power, suffix in enumerate("kMGTP")},
    **{f"{suffix}i": 1024 ** (power + 1) for power, suffix in enumerate("KMGTP")},
}
_SECONDS = {"h": 3600, "m": 60, "s": 1}


def bytes_of(quantity: str) -> int:
    """Bytes of a Kubernetes quantity: "3Ti" is 3 × 1024⁴. Raises ValueError for anything else."""
    if not re.fullmatch(QUANTITY, quantity):
        raise ValueError(f"'{quantity}' is not a size such as 3Ti, 500Gi or 1T")
    number = quantity.rstrip("kKMGTPi")
    return int(Fraction(number) * _SUFFIXES[quantity[len(number) :]])


def cpus_of(cpu: str) -> float:
    """CPUs of a Kubernetes quantity such as "8", "0.5" or "500m"."""
    return int(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu)


def seconds_of(duration: str) -> int:
    """Seconds of a duration such as "24h", "90m" or "1h30m".

    Raises ValueError for anything else and for no time at all.
    """
    parts = re.findall(r"([0-9]+)([hms])", duration) if re.fullmatch(DURATION, duration) else []
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in parts)
    if seconds == 0:
        raise ValueError(f"'{duration}' is not a duration such as 24h, 90m or 1h30m")
    return seconds


def bits_per_second_of(bandwidth: str) -> float:
    """Bits per second of a bandwidth such as "10Gbit" or "800Mbit".

    Raises ValueError for anything else and for none at all.
    """
    bits = float(bandwidth[:-4]) * {"M": 1e6, "G": 1e9}[bandwidth[-4]] if re.fullmatch(BANDWIDTH, bandwidth) else 0
    if bits == 0:
        raise ValueError(f"'{bandwidth}' is not a bandwidth such as 10Gbit or 800Mbit")
    return bits


def duration_text(seconds: float) -> str:
    """The shortest usual spelling: 86400 is "24h", 5400 is "90m", 45 is "45s"."""
    whole = round(seconds)
    for unit, length in _SECONDS.items():
        if whole % length == 0:
            return f"{whole // length}{unit}"
    raise AssertionError("every whole number of seconds divides by one")


def size_text(size: float) -> str:
    """Return the smallest quantity that holds `size` bytes, in whole GiB, or in whole MiB below one.

    A claim takes it as its size.
    """
    unit, name = (GiB, "Gi") if size >= GiB else (MiB, "Mi")
    return f"{-(-int(size) // unit)}{name}"


def gib_text(size: float) -> str:
    """GiB to one decimal: "43.4 GiB"; below 100 MiB, MiB."""
    return f"{size / GiB:.1f} GiB" if abs(size) >= GiB / 10 else f"{size / MiB:.0f} MiB"
