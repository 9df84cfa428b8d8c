"""Flags of `vllm serve`, in every spelling that its parser takes."""

import pytest

from planning import flags


@pytest.mark.parametrize("written", ["--trust-remote-code", "--trust_remote_code", "--trust-rem", "--trust_rem"])
def test_a_flag_is_found_under_every_spelling(written: str) -> None:
    assert flags.is_set(["--max-num-seqs", "3", written], "--trust-remote-code")
    assert not flags.is_set([written, "--no-trust-remote-code"], "--trust-remote-code")
    assert not flags.is_set(["--max-num-seqs", "3"], "--trust-remote-code")
