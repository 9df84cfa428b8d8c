"""What a download tells a Prometheus while it runs, over HTTP."""

import re
import time
import urllib.request

from faulty_server import FaultyServer, Refusal
from fetch_pods import LARGE, Volume
from server_process import free_port


def told(port: int) -> dict[str, float]:
    """Return the metrics by name and labels; nothing before the program answers and after its end."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    return {name: float(number) for name, number in re.findall(r"^(deepseek\S+) (\S+)$", text, re.MULTILINE)}


def test_it_tells_how_far_it_is_and_that_it_was_interrupted(server: FaultyServer, volume: Volume) -> None:
    server.faults.bytes_per_second = 5e5
    server.faults.answers.extend([Refusal(503)] * 40)
    port = free_port()
    pod = volume.start(METRICS_PORT=str(port))
    seen: list[dict[str, float]] = []
    deadline = time.monotonic() + 30
    while pod.poll() is None and time.monotonic() < deadline:
        if found := told(port):
            seen.append(found)
        time.sleep(0.05)
    assert volume.end(pod).code == 0
    wanted = {found["deepseek_download_wanted_bytes"] for found in seen}
    assert wanted <= {0.0, float(sum(LARGE.values()))}
    received = [found["deepseek_download_received_bytes"] for found in seen]
    assert len(set(received)) > 2
    assert received == sorted(received)
    verified = [found["deepseek_download_verified_bytes"] for found in seen]
    assert all(done <= there for done, there in zip(verified, received, strict=True))
    assert seen[-1]['deepseek_download_interruptions_total{cause="passing"}'] > 0
    assert seen[-1]['deepseek_download_interruptions_total{cause="lasting"}'] == 0
