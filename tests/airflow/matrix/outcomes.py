"""Words of the fault matrix: what a subject asks the server, and how a cell may end."""

from __future__ import annotations

from enum import Flag, auto


class Asks(Flag):
    """What a subject asks the server for; a fault strikes some of it."""

    HEALTH = auto()
    LOGIN = auto()
    TRADERS = auto()
    PRICE = auto()
    KLINES = auto()
    COVERAGE = auto()
    TRADES = auto()
    ORDERS = auto()
    JOBS = auto()
    JOB = auto()
    NEW_JOB = auto()
    SOCKET = auto()


A = Asks
#: what is read by a session
DATA = A.TRADERS | A.PRICE | A.KLINES | A.COVERAGE | A.TRADES | A.ORDERS | A.JOBS | A.JOB | A.NEW_JOB
#: every request of HTTP
REQUESTS = DATA | A.HEALTH | A.LOGIN
LISTS = A.TRADERS | A.KLINES | A.COVERAGE | A.TRADES | A.ORDERS | A.JOBS
#: lists of rows that are exported from a table
ROWS = A.TRADES | A.ORDERS
NOTHING = A(0)

#: success, and exactly what the server has: nothing lost, doubled or changed
EXACT = "exact"
#: success with fewer rows than there are, where nobody can tell (docs/promises.md)
PART = "part"
#: success with amounts of the server that nobody else takes, as it has sent them: JSON lines are the server's own text
AS_SENT = "as sent"
#: not there within the time that a wait, a task or a test has
WAITS = "waits"
#: errors, by the names of their classes without Hyperoru and Error
AMBIGUOUS, AUTHENTICATION, BAD_REQUEST, CONFLICT, CONTRACT = (
    "AmbiguousWrite",
    "Authentication",
    "BadRequest",
    "Conflict",
    "Contract",
)
JOB_FAILED, NETWORK, NOT_FOUND, PERMISSION, RATE_LIMIT, SERVER, VALIDATION = (
    "JobFailed",
    "Network",
    "NotFound",
    "Permission",
    "RateLimit",
    "Server",
    "Validation",
)
#: errors that a wait takes for "not yet"
TRANSIENT = frozenset({NETWORK, RATE_LIMIT, SERVER})
ERRORS = TRANSIENT | {
    AMBIGUOUS,
    AUTHENTICATION,
    BAD_REQUEST,
    CONFLICT,
    CONTRACT,
    JOB_FAILED,
    NOT_FOUND,
    PERMISSION,
    VALIDATION,
}
