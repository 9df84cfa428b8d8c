"""The packet filter: what keeps the cluster to this machine, and the removal of all that the cluster added.

kube-proxy makes its own chains (KUBE-…), CNI plugins theirs (CNI-…); both outlive the processes that made them.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator

from local import addresses

CHAIN = "LOCAL-CLUSTER"
OWN = re.compile(rf"({CHAIN}|KUBE-.+|CNI-.+)")
PROGRAMS = ("iptables", "ip6tables")

RULES = f"""\
*filter
:{CHAIN} - [0:0]
-A {CHAIN} -i lo -j RETURN
-A {CHAIN} -i {addresses.BRIDGE} -j ACCEPT
-A {CHAIN} -d {addresses.CLUSTER} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A {CHAIN} -d {addresses.CLUSTER} -j DROP
COMMIT
*nat
:{CHAIN} - [0:0]
-A {CHAIN} -s {addresses.PODS} ! -d {addresses.CLUSTER} -j MASQUERADE
COMMIT
"""
"""Pods may go out, through this machine's own address; nothing from outside comes in, to pods or to the node."""

JUMPS = (("filter", "INPUT"), ("filter", "FORWARD"), ("nat", "POSTROUTING"))


def ensure() -> bool:
    """Have our rules in place; says whether they had to be made."""
    missing = [jump for jump in JUMPS if not _jumps(*jump)]
    if missing:
        _restore("iptables", RULES)
        for table, chain in missing:
            subprocess.run(["iptables", "-w", "-t", table, "-I", chain, "-j", CHAIN], check=True, capture_output=True)
    return bool(missing)


def remove() -> None:
    """Remove our rules and those of kube-proxy and CNI plugins, everybody else's stay."""
    for family in PROGRAMS:
        if shutil.which(family):
            rules = removal(_save(family))
            if rules:
                _restore(family, rules)


def remains() -> list[str]:
    """The chains that are still there, each with its program and table."""
    return [
        f"{family} {table} {chain}"
        for family in PROGRAMS
        if shutil.which(family)
        for table, lines in tables(_save(family))
        for chain in _own_chains(lines)
    ]


def removal(saved: str) -> str:
    """From the output of iptables-save: the input of `iptables-restore --noflush` that removes what is ours."""
    removed: list[str] = []
    for table, lines in tables(saved):
        chains = _own_chains(lines)
        jumps = [line for line in lines if line.startswith("-A ") and _leads_from_others_to_ours(line)]
        if chains:
            removed += [f"*{table}"]
            removed += [f":{chain} - [0:0]" for chain in chains]
            removed += [f"-D {jump.removeprefix('-A ')}" for jump in jumps]
            removed += [f"-X {chain}" for chain in chains]
            removed += ["COMMIT"]
    return "".join(f"{line}\n" for line in removed)


def tables(saved: str) -> Iterator[tuple[str, list[str]]]:
    """The tables in the output of iptables-save, with the lines of each."""
    for part in re.split(r"^\*", saved, flags=re.MULTILINE)[1:]:
        name, *lines = part.splitlines()
        yield name, lines


def _own_chains(lines: list[str]) -> list[str]:
    chains = (line[1:].split()[0] for line in lines if line.startswith(":"))
    return [chain for chain in chains if OWN.fullmatch(chain)]


def _leads_from_others_to_ours(rule: str) -> bool:
    words = rule.split()
    target = next((words[index + 1] for index, word in enumerate(words) if word in ("-j", "-g")), "")
    return not OWN.fullmatch(words[1]) and OWN.fullmatch(target) is not None


def _jumps(table: str, chain: str) -> bool:
    command = ["iptables", "-w", "-t", table, "-C", chain, "-j", CHAIN]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _save(family: str) -> str:
    return subprocess.run([f"{family}-save"], check=True, capture_output=True, text=True).stdout


def _restore(family: str, rules: str) -> None:
    command = [f"{family}-restore", "--noflush", "--wait"]
    subprocess.run(command, input=rules, check=True, capture_output=True, text=True)
