"""What the plan predicts of the load that the benchmark measures."""

from planning.plan import make_plan
from planning.settings.sections import StackSettings


def predicted_tokens_per_second(settings: StackSettings) -> float | None:
    """Return the plan's prediction for the load of the benchmark; None where it predicts none for such a load."""
    load = settings.benchmark
    plan = make_plan(settings, prompt_tokens=load.input_tokens, answer_tokens=load.output_tokens)
    speed = plan.prediction.speeds.get(load.requests_at_once) if plan.prediction else None
    return float(f"{speed.output_tokens_per_second:.3g}") if speed else None
