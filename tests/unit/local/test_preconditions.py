from dataclasses import replace

from local.machine.listening import parse_listening_ports
from local.machine.preconditions import Machine, find_problems

FITTING = Machine(
    root=True,
    debian=True,
    go_version="go1.26.8",
    python=(3, 11),
    free_disk_gib=200,
    memory_gib=24,
    ports_in_use=frozenset({22}),
)


def problems(machine: Machine, *, to_build: bool = True) -> list[str]:
    return find_problems(machine, ports={6443: "the API server", 5000: "the registry"}, to_build=to_build)


def test_nothing_is_said_about_a_fitting_machine() -> None:
    assert problems(FITTING) == []


def test_everything_is_said_at_once() -> None:
    machine = Machine(
        root=False,
        debian=False,
        go_version="",
        python=(3, 9),
        free_disk_gib=3,
        memory_gib=2,
        ports_in_use=frozenset({5000, 6443}),
    )
    found = problems(machine)
    said = (
        "not Debian",
        "Not root",
        "Python is 3.9",
        "no Go",
        "Only 3 GiB free",
        "Only 2 GiB of memory",
        "5000",
        "6443",
    )
    assert len(found) == len(said)
    for text, problem in zip(said, found, strict=True):
        assert text in problem


def test_a_port_in_use_is_named_with_what_needs_it() -> None:
    (problem,) = problems(replace(FITTING, ports_in_use=frozenset({5000})))
    assert problem.startswith("Port 5000 is in use; the registry needs it.")


def test_an_old_go_is_no_problem_when_nothing_is_to_be_built() -> None:
    old = replace(FITTING, go_version="go1.19.8")
    assert "Go is go1.19.8; 1.26 or newer" in problems(old)[0]
    assert problems(old, to_build=False) == []


def test_a_go_of_two_digits_is_not_older_than_one_of_one() -> None:
    assert problems(replace(FITTING, go_version="go1.101")) == []


def test_listeners_are_read_from_the_kernels_table() -> None:
    table = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1389 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
"""
    assert parse_listening_ports(table) == {5000}
