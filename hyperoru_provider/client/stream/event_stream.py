"""The event stream: connect, subscribe, listen, and connect again when the connection is lost."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import count

from hyperoru_provider.client import calls
from hyperoru_provider.client.api.contract import Contract
from hyperoru_provider.client.errors import (
    AUTHENTICATION_ADVICE,
    HyperoruApiError,
    HyperoruAuthenticationError,
    HyperoruContractError,
    HyperoruNetworkError,
)
from hyperoru_provider.client.http.request import Settings
from hyperoru_provider.client.http.transport import AsyncTransport
from hyperoru_provider.client.stream.attempts import ConnectionAttempts
from hyperoru_provider.client.stream.connection import (
    Connection,
    Pong,
    TokenRefusedError,
    open_connection,
    stream_address,
)
from hyperoru_provider.client.stream.messages import (
    MAX_EVENTS,
    Event,
    EventReader,
    Gap,
    Refusal,
    read_message,
    read_refusal,
    server_channels,
    write_message,
    write_subscription,
)

log = logging.getLogger(__name__)

_MAX_EARLY_EVENTS = 1000
#: seconds
_WARNING_INTERVAL = 60.0


class EventStream:
    """The events of some channels; see :meth:`AsyncHyperoruClient.events`.

    :param settings: the server and how to reach it.
    :param transport: logs in.
    :param contract: the server's names.
    :param channels: our names of the channels to subscribe to.
    :param give_up_after: seconds without a connection after which its failure is raised; ``None``: never.
    :raises HyperoruConfigError: there is no such channel.
    """

    def __init__(
        self,
        settings: Settings,
        transport: AsyncTransport,
        contract: Contract,
        channels: Iterable[str],
        give_up_after: float | None,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._contract = contract
        self._channels = server_channels(contract, channels)
        self._give_up_after = give_up_after
        self._reader = EventReader(contract, self._channels)
        self._request_ids = count(1)
        self._seen_until: datetime | None = None
        self._warned_at = -_WARNING_INTERVAL

    async def items(self) -> AsyncGenerator[Event | Gap, None]:
        """Yield events as they come, and a gap wherever some may have been missed; the first item is a gap.

        :raises HyperoruApiError: connecting again can't mend it, or it is time to give up.
        """
        attempts = ConnectionAttempts(self._settings.policy, self._give_up_after, time.monotonic())
        reason = "the stream begins here"
        while True:
            try:
                async with aclosing(self._listen(attempts, reason)) as items:
                    async for item in items:
                        yield item
            except TokenRefusedError as refusal:
                error, token_refused = refusal.error, True
            except HyperoruApiError as failure:
                error, token_refused = failure.with_traceback(None), False  # its steps hold the token and messages
            reason = error.message
            pause = attempts.failed(error, token_refused=token_refused, now=time.monotonic(), jitter=random.random())
            await asyncio.sleep(pause)

    async def _listen(self, attempts: ConnectionAttempts, reason: str) -> AsyncGenerator[Event | Gap, None]:
        """Yield what comes on one connection, until it is lost.

        :param reason: why events may have been missed before.
        :raises TokenRefusedError: the token was refused.
        :raises HyperoruApiError: there is no connection, or it was lost.
        """
        await self._transport.login(calls.login(self._contract), attempts.session)
        token = attempts.session.token
        async with open_connection(self._settings, self._contract.stream, token) as connection:
            attempts.connected(time.monotonic())
            early = await self._subscribe(connection, token)
            attempts.opened(time.monotonic())
            yield self._gap(reason, datetime.now(UTC))
            while early:
                attempts.received()
                yield early.popleft()
            while True:
                received = await connection.receive_or_ping()
                items = self._read(received, connection)
                if items or isinstance(received, Pong):
                    attempts.received()
                for item in items:
                    yield item

    async def _subscribe(self, connection: Connection, token: str) -> deque[Event]:
        """Subscribe to all channels, after a login by message where the contract says so.

        :return: the newest events that came meanwhile; the gap that is told before them covers the rest.
        """
        early: deque[Event] = deque(maxlen=_MAX_EARLY_EVENTS)
        stream = self._contract.stream
        if stream.auth == "message":
            name = stream.params.get("session_token") or "session_token"
            await self._request(connection, [("connect", {name: token})], early)
        if stream.user_id is not None:
            await connection.send(write_subscription(stream.user_id))
        else:
            await self._request(connection, [("subscribe", {"channel": channel}) for channel in self._channels], early)
        log.info(
            "Listening to %s at %s",
            ", ".join(self._channels.values()),
            stream_address(self._settings, stream),
        )
        return early

    async def _request(
        self, connection: Connection, requests: Sequence[tuple[str, Mapping[str, str]]], early: deque[Event]
    ) -> None:
        """Send requests and wait until all are answered.

        :param requests: type and data of each.
        :param early: takes the events that come before the last answer.
        :raises TokenRefusedError: a request was refused because of the token.
        :raises HyperoruContractError: a request was refused for another reason.
        :raises HyperoruNetworkError: an answer did not come in time.
        """
        unanswered: dict[str, str] = {}
        for message_type, data in requests:
            request_id = str(next(self._request_ids))
            unanswered[request_id] = f"{message_type} {data.get('channel', '')}".strip()
            await connection.send(write_message(message_type, request_id, data))
        try:
            async with asyncio.timeout(connection.answer_timeout):
                while unanswered:
                    try:
                        message = read_message(await connection.receive())
                        events = self._reader.read(message, datetime.now(UTC))
                    except HyperoruContractError as error:
                        self._warn_of_unreadable(error)
                        continue
                    request = unanswered.pop(message.request_id or "", None)
                    if refusal := read_refusal(message, connection.secrets):
                        _handle_refusal(refusal, request)
                    early.extend(events)
        except TimeoutError:
            missing = ", ".join(unanswered.values())
            raise HyperoruNetworkError(f"No answer to {missing} within {connection.answer_timeout:g} s") from None

    def _read(self, received: str | bytes | Pong, connection: Connection) -> Sequence[Event | Gap]:
        """Return the events of a message, or a gap if it can't be read; note up to when all was seen.

        :raises TokenRefusedError: the server ends the session.
        """
        if isinstance(received, Pong):
            self._note_seen(received.asked_at)
            return []
        now = datetime.now(UTC)
        try:
            message = read_message(received)
            events = self._reader.read(message, now)
        except HyperoruContractError as error:
            self._warn_of_unreadable(error)
            return [self._gap(error.message, now)]
        if refusal := read_refusal(message, connection.secrets):
            _handle_refusal(refusal, None)
        if message.is_cut and events:
            return [*events, self._gap(f"a message held more than {MAX_EVENTS:,} events", now)]
        # all that was sent before this message was seen; when it was sent, only its events tell
        self._note_seen(min(now, max((event.time for event in events), default=now)))
        return events

    def _gap(self, reason: str, until: datetime) -> Gap:
        """Return the gap from the last time up to which all was seen; from its end on, all is seen again."""
        gap = Gap(reason, self._seen_until, until)
        self._seen_until = until
        return gap

    def _note_seen(self, until: datetime) -> None:
        """Note that all events before a time were seen."""
        self._seen_until = max(self._seen_until or until, until)

    def _warn_of_unreadable(self, error: HyperoruContractError) -> None:
        """Log that a message can't be read, at most once in an interval."""
        if (now := time.monotonic()) - self._warned_at >= _WARNING_INTERVAL:
            self._warned_at = now
            log.warning("On the stream, %s; it is skipped and counts as a gap.", error.message)


def _handle_refusal(refusal: Refusal, request: str | None) -> None:
    """Raise what a refusal means, or log it if it answers no request of ours.

    :param request: what was refused, such as ``subscribe trades``.
    :raises TokenRefusedError: it is the token that was refused.
    :raises HyperoruContractError: the request can't be granted.
    """
    explanation = f"The server refuses {request or 'a request'}: {refusal.message}"
    code = refusal.code or None
    if refusal.is_about_token:
        raise TokenRefusedError(HyperoruAuthenticationError(f"{explanation}. {AUTHENTICATION_ADVICE}", code=code))
    if request:
        raise HyperoruContractError(
            f"{explanation}. If it has no such channel, set it to null in the contract's stream.channels.", code=code
        )
    log.warning("The stream says: %s", f"{refusal.message} ({code})" if code else refusal.message)
