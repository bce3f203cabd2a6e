"""What a gateway can listen on, and how many connections it can hold."""

import pytest

from gateway.listening import SPARE, CannotListen, most_links


@pytest.mark.parametrize(("descriptors", "links"), [(SPARE + 2, 1), (1024, 412), (20_000, 9_900)])
def test_each_link_takes_two_descriptors_beside_the_spare_ones(descriptors: int, links: int) -> None:
    assert most_links(descriptors) == links


@pytest.mark.parametrize("descriptors", [0, SPARE, SPARE + 1])
def test_a_limit_that_leaves_no_room_is_told_at_the_start(descriptors: int) -> None:
    with pytest.raises(CannotListen, match=r"raise it: ulimit -n"):
        most_links(descriptors)
