"""How many requests are let through, and when it is more."""

from __future__ import annotations

import threading

from sightline._options import ClientOptions
from sightline._permits import Permits


def answered(permits: Permits, *, seconds: float, times: int = 1) -> None:
    """Requests, one after another, that took so long."""
    for _ in range(times):
        permits.leave(seconds, permits.enter())


def test_more_are_let_through_while_the_server_is_fast() -> None:
    permits = Permits(2, 5)
    assert (permits.limit, permits.most) == (2, 5), "nothing is known yet"
    answered(permits, seconds=0.001)
    assert permits.limit == 5
    answered(permits, seconds=0.5)
    assert permits.limit == 2
    answered(permits, seconds=0.001, times=40)
    assert permits.limit == 5


def test_what_requests_wait_for_each_other_does_not_count() -> None:
    permits = Permits(4, 16)
    inside = [permits.enter() for _ in range(4)]
    assert inside == [1, 2, 3, 4]
    permits.leave(0.016, 4)
    assert permits.limit == 16, "four at a time that take 16 ms cost 4 ms each"


def test_those_who_wait_come_in_as_soon_as_there_is_room() -> None:
    permits = Permits(1, 3)
    inside = permits.enter()
    entered = threading.Semaphore(0)

    def wait() -> None:
        permits.enter()
        entered.release()

    waiting = [threading.Thread(target=wait, daemon=True) for _ in range(3)]
    for thread in waiting:
        thread.start()
    assert not entered.acquire(timeout=0.05), "one is let through, and it has not left"
    permits.leave(0.001, inside)
    for thread in waiting:
        thread.join(10)
    assert not any(thread.is_alive() for thread in waiting), "a fast answer makes room for three at once"


def test_a_given_number_is_kept_and_without_one_images_are_bounded() -> None:
    given, free = ClientOptions(in_flight=3), ClientOptions()
    assert (given.fewest_in_flight, given.most_in_flight(1)) == (3, 3)
    assert free.fewest_in_flight == 4
    assert [free.most_in_flight(images) for images in (1, 2, 4, 8, 16)] == [16, 16, 8, 4, 4]
