"""A review knows what serves by the names of the program's resources: here the two meet."""

from components.shared import engine_names
from planning.review.parts import BUILDS, CLAIM, CLUSTER, DOWNLOAD, GATE, SERVE, SERVICE, SURGE, part_of
from planning.review.preview import Step
from tests.unit.components.registrations import run, stack_file


def test_the_program_has_every_part_that_a_review_speaks_of() -> None:
    program = run(stack_file("a100-bf16"))
    parts = [part for item in program.registrations if (part := part_of(Step(op="create", urn=item.urn)))]
    builds = {f"{BUILDS}fetch", f"{BUILDS}ray-vllm"}
    assert sorted(parts) == sorted({CLUSTER, SERVICE, CLAIM, SERVE, GATE, DOWNLOAD} | builds)


def test_the_second_place_ends_as_a_review_expects() -> None:
    assert SURGE == engine_names.SURGE
