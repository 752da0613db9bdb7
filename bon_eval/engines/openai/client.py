"""The openai client with what days of sampling need: a deadline for each request, and patience with a server that is
busy, slow or down.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from bon_eval.engines.servers import ServerSettings
from bon_eval.errors import EngineError, reason

T = TypeVar("T")
KEY = "OPENAI_API_KEY"
"""The environment variable that holds the key, for servers that want one."""
_GET_TIMEOUT = 30.0
_FIRST_DELAY, _LONGEST_DELAY, _LONGEST_RETRY_AFTER = 0.5, 30.0, 300.0


class Client:
    """JSON requests to one server, on an event loop in a thread of its own.

    So requests go on while the caller stores what came, and a caller with a running loop, such as a notebook, can wait.

    Raises:
        EngineError: the openai package is missing.
    """

    def __init__(self, settings: ServerSettings, seed: int) -> None:
        try:
            import openai
        except ImportError as error:
            raise EngineError("engine openai needs the openai client: pip install 'bon-eval[openai]'") from error
        self._openai = openai
        self._settings = settings
        self._jitter = random.Random(seed)
        self._down = False
        self._loop = asyncio.new_event_loop()
        self._client = openai.AsyncOpenAI(
            base_url=settings.base_url, api_key=os.environ.get(KEY) or "none", max_retries=0, timeout=settings.timeout
        )
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin work that goes on by itself."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait until the work is done."""
        return self.start(work).result()

    def close(self) -> None:
        """Give up what is on its way and close the connections."""
        if not self._loop.is_closed():
            self.run(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()

    async def get(self, path: str, *, wait: float = 0.0) -> Any:
        """GET a path after the base URL; for `wait` seconds again where nothing answers.

        Raises:
            EngineError: nothing answers, or the server refuses.
        """
        began = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(_GET_TIMEOUT):
                    return await self._client.get(path, cast_to=object)
            except self._openai.APIStatusError as error:
                if error.status_code < 500:
                    raise RefusedError(error.status_code, self.reason(error)) from None
                reason = self.reason(error)
            except Exception as error:  # noqa: BLE001 - no connection, and an answer that the client cannot read
                reason = self.reason(error)
            if time.monotonic() - began >= wait:
                raise EngineError(
                    f"no server at {self._settings.base_url} ({reason}); start it first, or let the run wait "
                    "for it with --engine-arg wait=SECONDS"
                )
            await asyncio.sleep(1.0)

    async def post(self, path: str, body: Mapping[str, object], *, patience: float | None = None) -> Any:
        """POST a JSON body and return the JSON answer, trying again while the server is down, busy or slow.

        Args:
            path: after the base URL.
            body: the JSON.
            patience: seconds after its first failure for which a request is tried again. [default: the settings']

        Raises:
            EngineError: the server refuses the request, or patience is at its end.
            RefusedError: as above, with the status, where the server says that the request itself is wrong.
        """
        patience = self._settings.patience if patience is None else patience
        failed_at: float | None = None
        attempt = 0
        while True:
            try:
                async with asyncio.timeout(self._settings.timeout):
                    answer = await self._client.post(path, cast_to=object, body=body)
            except self._openai.APIStatusError as error:
                if not self._passes(error.status_code):
                    raise RefusedError(error.status_code, self.reason(error)) from None
                reason, wanted = self.reason(error), _retry_after(error.response.headers)
            except Exception as error:  # noqa: BLE001 - no connection, and an answer that the client cannot read
                reason, wanted = self.reason(error), None
            else:
                self._down = False
                return answer
            now = time.monotonic()
            failed_at = now if failed_at is None else failed_at
            if now - failed_at >= patience:
                raise EngineError(
                    f"the server at {self._settings.base_url} failed for {now - failed_at:,.0f} s: {reason}; what was "
                    "stored is kept, run the same command when it is up again"
                )
            self._say(reason, patience)
            await asyncio.sleep(delay(attempt, wanted, self._jitter))
            attempt += 1

    def reason(self, error: BaseException) -> str:
        """One line about a failed request, without the key: some servers answer with the key that they refused."""
        if isinstance(error, self._openai.APITimeoutError | TimeoutError):
            text = f"no answer within the deadline of {self._settings.timeout:g} s"
        elif isinstance(error, self._openai.APIStatusError):
            body = error.body
            inner = (
                body.get("message") or body.get("detail") or body.get("error") if isinstance(body, Mapping) else body
            )
            text = f"HTTP {error.status_code}: {inner or error.message}"
        elif isinstance(error, json.JSONDecodeError):
            text = f"its answer is no JSON: {error.doc[:80]!r}"
        elif isinstance(error, self._openai.APIConnectionError):
            text = str(error.__cause__ or error)
        else:
            text = f"its answer cannot be read: {reason(error)}"
        key = os.environ.get(KEY)
        text = " ".join((text.replace(key, "***") if key else text).split())
        return text if len(text) <= 300 else text[:297] + "..."

    def _passes(self, status: int) -> bool:
        """Whether a refusal is worth trying again."""
        return status in (408, 409, 425, 429) or status >= 500

    def _say(self, reason: str, patience: float) -> None:
        if not self._down:
            self._down = True
            text = (
                f"the server at {self._settings.base_url} failed ({reason}); trying again for up to {patience:,.0f} s"
            )
            print(text, file=sys.stderr, flush=True)


class RefusedError(EngineError):
    """The server says that a request is wrong."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"the server refuses the request ({reason})")
        self.status = status


def delay(attempt: int, wanted: float | None, jitter: random.Random) -> float:
    """Seconds before the next try: doubling from half a second to 30 seconds, less a random part of up to one half, so
    that many clients do not come back at once; or what the server wants.

    >>> 4 <= delay(4, None, random.Random(0)) <= 8
    True
    >>> delay(0, 7.0, random.Random(0))
    7.0
    """
    if wanted is not None:
        return wanted
    return min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(attempt, 10)) * jitter.uniform(0.5, 1.0)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server wants to be left alone; None where it does not say, or says more than is sensible."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds <= _LONGEST_RETRY_AFTER else None
