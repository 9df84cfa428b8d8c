from pathlib import Path

import pytest

from local.images.debian_root import apt_options, package_sources
from local.machine import debian


def test_only_what_dpkg_does_not_call_installed_is_missing() -> None:
    dpkg = "runc installed\nopenssl config-files\n"
    assert debian.missing_packages(("runc", "openssl", "etcd-server"), dpkg) == ["openssl", "etcd-server"]


@pytest.mark.parametrize("existing", [None, "#!/bin/sh\nexit 0\n"])
def test_services_are_kept_from_starting_only_while_installing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: str | None
) -> None:
    policy = tmp_path / "policy-rc.d"
    if existing:
        policy.write_text(existing)
    monkeypatch.setattr(debian, "POLICY", policy)
    with debian.services_kept_from_starting():
        assert policy.read_text().endswith("exit 101\n")
        assert policy.stat().st_mode & 0o111
    assert (policy.read_text() if policy.exists() else None) == existing
    assert list(tmp_path.iterdir()) == ([policy] if existing else [])


def test_the_root_file_system_comes_from_this_machines_debian_sources_only() -> None:
    targets = """Debian|bookworm|http://mirror.example.com/debian/|main
Debian|bookworm|http://mirror.example.com/debian/|non-free
Debian|bookworm-security|http://mirror.example.com/security/|main
Other|bookworm|http://packages.example.com/|main
Debian|trixie|http://mirror.example.com/debian/|main
"""
    assert package_sources(targets) == [
        "deb http://mirror.example.com/debian/ bookworm main",
        "deb http://mirror.example.com/security/ bookworm-security main",
    ]


def test_how_apt_reaches_its_sources_is_passed_on_and_nothing_else() -> None:
    dump = """Acquire "";
Acquire::Check-Date "false";
Acquire::http::Proxy "http://proxy.example.com:3128";
Acquire::https::CAInfo "/etc/ssl/own.pem";
Acquire::http::Proxy::local.example.com "DIRECT";
Acquire::Languages "en";
DPkg::Post-Invoke "rm x";
"""
    assert apt_options(dump) == [
        'Acquire::Check-Date "false"',
        'Acquire::http::Proxy "http://proxy.example.com:3128"',
        'Acquire::https::CAInfo "/etc/ssl/own.pem"',
        'Acquire::http::Proxy::local.example.com "DIRECT"',
    ]
