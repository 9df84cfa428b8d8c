"""The packet filter: what keeps the cluster to this machine, and the removal of all that the cluster added.

kube-proxy and kube-router make chains of their own (KUBE-…), CNI plugins theirs (CNI-…), and kube-router keeps sets of
addresses in the kernel (KUBE-SRC-…, KUBE-DST-…). All of that outlives the processes that made it.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator

from local.machine import addresses, probes

CHAIN = "LOCAL-CLUSTER"
OWN = re.compile(rf"({CHAIN}|KUBE-.+|CNI-.+)")
PROGRAMS = ("iptables", "ip6tables")
OWN_SETS = re.compile(r"(inet6:)?(KUBE-SRC|KUBE-DST|TMP)-[A-Z2-7]{16}")
SET_SECONDS = 10.0
"""The kernel lets go of a set a moment after the last rule that names it is gone."""

RULES = f"""\
*mangle
:{CHAIN} - [0:0]
-A {CHAIN} -i lo -j RETURN
-A {CHAIN} -i {addresses.BRIDGE} -j RETURN
-A {CHAIN} -d {addresses.CLUSTER} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN
-A {CHAIN} -d {addresses.CLUSTER} -j DROP
COMMIT
*filter
:{CHAIN} - [0:0]
-A {CHAIN} -i {addresses.BRIDGE} -j ACCEPT
-A {CHAIN} -d {addresses.CLUSTER} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:{CHAIN} - [0:0]
-A {CHAIN} -s {addresses.PODS} ! -d {addresses.CLUSTER} -j MASQUERADE
COMMIT
"""
"""Pods may go out, through this machine's own address; nothing from outside comes in, to pods or to the node.

What comes from outside is dropped in the table `mangle`: kube-router's chains come first in the table `filter`, and
they accept what a NetworkPolicy allows, wherever it comes from.
"""

JUMPS = (("mangle", "PREROUTING"), ("filter", "INPUT"), ("filter", "FORWARD"), ("nat", "POSTROUTING"))


def ensure() -> bool:
    """Have our rules in place; says whether they had to be made."""
    missing = [jump for jump in JUMPS if not _jumps(*jump)]
    if missing:
        _restore("iptables", RULES)
        for table, chain in missing:
            subprocess.run(["iptables", "-w", "-t", table, "-I", chain, "-j", CHAIN], check=True, capture_output=True)
    return bool(missing)


def remove() -> None:
    """Remove our rules and those of kube-proxy, kube-router and CNI plugins, then the sets; everybody else's stay."""
    for family in PROGRAMS:
        if shutil.which(family):
            rules = removal(_save(family))
            if rules:
                _restore(family, rules)
    probes.wait_until(_destroy_sets, SET_SECONDS)


def remaining_sets() -> list[str]:
    """The sets of addresses that are still there."""
    if not shutil.which("ipset"):
        return []
    listed = subprocess.run(["ipset", "list", "-name"], check=True, capture_output=True, text=True).stdout
    return own_sets(listed)


def own_sets(listed: str) -> list[str]:
    """The sets that are kube-router's among the names that `ipset list -name` printed."""
    return [name for name in listed.split() if OWN_SETS.fullmatch(name)]


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


def _destroy_sets() -> bool:
    """Destroy the sets that no rule uses any more; return whether all sets are gone."""
    for name in remaining_sets():
        subprocess.run(["ipset", "destroy", name], check=False, capture_output=True)
    return not remaining_sets()


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
