"""What alerts and dashboard ask of the stack's own programs is what these tell."""

import json
import re

from download_metrics import DownloadMetrics
from supervisor_metrics import SupervisorMetrics

from components.monitoring.alerts import rule_spec
from components.monitoring.dashboard import dashboard
from tests.monitoring.promtool import NAMESPACE, SETTINGS, STACK


def test_every_metric_that_is_asked_for_is_told() -> None:
    asked = json.dumps(rule_spec(NAMESPACE, STACK, SETTINGS)) + dashboard(NAMESPACE, STACK, SETTINGS)
    told = {reading.name for metrics in (SupervisorMetrics(), DownloadMetrics()) for reading in metrics.readings()}
    names = set(re.findall(r"deepseek_(?:supervisor|download)_\w+", asked))
    assert len(names) > 5
    assert names <= told
