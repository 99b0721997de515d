"""The controller against models of servers: a thousand of them, each drawn by its number."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

from hyperoru_provider.client.http.concurrency import ConcurrencyController, Flight

HIGHEST = 32
#: seconds that a client needs for an answer, one at a time
CLIENT = 0.002


@dataclass(frozen=True)
class Server:
    """A server.

    :param kind: what it makes of more than ``size`` requests at once: it lets them wait (``pool``), refuses them
        (``breaks``), or all of them take longer, by the square of how many there are (``slows``).
    :param network: seconds on the way.
    :param service: seconds in the server.
    :param jitter: share of the seconds in the server by which they differ.
    """

    kind: str
    size: int
    network: float
    service: float
    jitter: float

    @classmethod
    def drawn(cls, chance: random.Random) -> Server:
        kind, size = chance.choice(("pool", "breaks", "slows")), chance.randint(1, 60)
        network, service = chance.choice((0.001, 0.01, 0.05, 0.2)), chance.choice((0.01, 0.05, 0.2))
        return cls(kind, size, network, service, chance.choice((0.0, 0.1, 0.3, 0.5)))

    def throughput(self, level: int) -> float:
        """Return the answers a second at a level that stays."""
        at_once = min(level, self.size) if self.kind == "breaks" else level
        slower = max(1.0, level / self.size) ** 2 if self.kind == "slows" else 1.0
        rate = at_once / (self.network + self.service * slower)
        return min(rate, self.size / self.service) if self.kind == "pool" else rate

    @property
    def best(self) -> float:
        return min(max(self.throughput(level) for level in range(1, HIGHEST + 1)), 1.0 / CLIENT)


def answers(
    server: Server, controller: ConcurrencyController, count: int, chance: random.Random, now: float = 0.0
) -> list[float]:
    """Return when each of so many answers came, where there is always more to ask for."""
    number, serving, client_free = 0, 0, now
    came: list[float] = []
    free = [0.0] * server.size  # when each of a pool's workers is
    under_way: list[tuple[float, int, bool, Flight]] = []
    while len(came) < count:
        assert 1 <= controller.level <= HIGHEST
        while len(under_way) < controller.level:
            number += 1
            flight = controller.begin(now)
            if server.kind == "breaks" and serving >= server.size:
                heapq.heappush(under_way, (now + server.network, number, True, flight))
                continue
            serving += 1
            seconds = server.service * (1.0 + server.jitter * chance.uniform(-1.0, 1.0))
            if server.kind == "slows":
                seconds *= max(1.0, serving / server.size) ** 2
            end = now + seconds
            if server.kind == "pool":
                end = max(now, heapq.heappop(free)) + seconds
                heapq.heappush(free, end)
            heapq.heappush(under_way, (end + server.network, number, False, flight))
        arrived, _, refused, flight = heapq.heappop(under_way)
        now = client_free = max(arrived, client_free) + CLIENT
        controller.end(flight, now, refused=refused)
        if not refused:
            serving -= 1
            came.append(now)
    for *_, flight in under_way:
        controller.end(flight, now, refused=None)
    return came


def test_a_thousand_servers_are_asked_nearly_as_fast_as_each_can_be() -> None:
    shares, settled = [], []
    for seed in range(1000):
        chance = random.Random(seed)
        server = Server.drawn(chance)
        came = answers(server, ConcurrencyController(), 400, chance)
        shares.append((379 / (came[-1] - came[20]) / server.best, seed, server))
        settled.append((249 / (came[-1] - came[150]) / server.best, seed, server))
    assert min(shares)[0] > 0.45
    assert sum(share > 0.8 for share, *_ in shares) >= 950
    assert min(settled)[0] > 0.5
    assert sum(share > 0.8 for share, *_ in settled) >= 980


def test_a_fixed_level_stays() -> None:
    controller = ConcurrencyController(7)
    for refused in (True, False, None) * 50:
        controller.end(controller.begin(1.0), 2.0, refused=refused)
        assert (controller.level, controller.highest) == (7, 7)


def test_a_refusal_halves_it_once_for_all_that_were_under_way() -> None:
    controller = ConcurrencyController()
    now = 0.0
    while controller.level < HIGHEST:
        flights = [controller.begin(now) for _ in range(controller.level)]
        now += 0.1
        for flight in flights:
            controller.end(flight, now, refused=False)
    flights = [controller.begin(now) for _ in range(HIGHEST)]
    for flight in flights:
        controller.end(flight, now + 0.1, refused=True)
    assert controller.level == HIGHEST / 2


def test_who_is_refused_by_a_quota_at_once_is_refused_few_requests() -> None:
    controller, chance = ConcurrencyController(), random.Random(5)
    answers(Server("pool", 60, 0.001, 0.01, 0.3), controller, 20, chance)
    assert controller.level == 4


def test_after_a_bad_time_it_climbs_again() -> None:
    controller, chance = ConcurrencyController(), random.Random(1)
    now = 0.0
    for _ in range(20):
        controller.end(controller.begin(now), now + 1, refused=True)
        now += 2
    assert controller.level == 1
    well = Server("pool", 40, 0.01, 0.05, 0.1)
    rest = answers(well, controller, 400, chance, now)
    assert 199 / (rest[-1] - rest[200]) > 0.8 * well.best


def test_a_server_that_can_do_more_later_is_asked_for_more() -> None:
    controller, chance = ConcurrencyController(), random.Random(3)
    answers(Server("pool", 4, 0.01, 0.05, 0.1), controller, 400, chance)
    assert controller.level <= 8
    better = Server("pool", 24, 0.01, 0.05, 0.1)
    came = answers(better, controller, 4000, chance, now=1e6)
    assert 199 / (came[-1] - came[-200]) > 0.8 * better.best


def test_a_server_that_could_do_one_at_a_time_is_asked_for_more_later() -> None:
    controller, chance = ConcurrencyController(), random.Random(4)
    answers(Server("slows", 1, 0.001, 0.05, 0.1), controller, 1500, chance)
    assert controller.level <= 2
    better = Server("pool", 16, 0.001, 0.05, 0.1)
    came = answers(better, controller, 4000, chance, now=1e6)
    assert 199 / (came[-1] - came[-200]) > 0.8 * better.best
