"""The pilot's door: a listening socket that can be really closed and opened again on the same port."""

import asyncio
import socket
import ssl

from aiohttp import web

from sandbox.config import SandboxConfig


class PublicDoor:
    """Listens for pilots, unless it is down.

    While it is down, connections are refused and the ones that were open are aborted. The port stays ours: a second
    socket is bound to it all the time without listening, so nobody else is given it.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._tls = tls_context(config)
        self._holder = _bound_socket(config.host, config.port)
        self._runner: web.AppRunner | None = None
        self._site: web.SockSite | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Scheme, host and port for pilots."""
        host, port = self._holder.getsockname()[:2]
        return f"{'https' if self._tls else 'http'}://{host}:{port}"

    async def start(self, app: web.Application) -> None:
        """Begin to serve the application."""
        # bodies arrive as they were sent: a broken gzip is answered by us
        self._runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=0.2)
        await self._runner.setup()
        await self.open()

    def owns(self, request: web.Request) -> bool:
        """Tell whether the request came through this door."""
        return self._runner is not None and request.app is self._runner.app

    async def open(self) -> None:
        """Listen again; nothing changes when the door is open."""
        self._stop_timer()
        if self._site is not None or self._runner is None:
            return
        host, port = self._holder.getsockname()[:2]
        listener = _bound_socket(host, port)
        site = web.SockSite(self._runner, listener, ssl_context=self._tls, backlog=128)
        self._site = site
        await site.start()

    async def close(self, seconds: float | None) -> None:
        """Refuse connections from now on, for some seconds or (None) until opened."""
        self._stop_timer()
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()
        if seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._open_later)

    def abort_connections(self) -> None:
        """Abort the connections that are open, whatever goes on in them."""
        server = self._runner.server if self._runner else None
        for connection in server.connections if server else ():
            if connection.transport is not None:
                connection.transport.abort()

    async def stop(self) -> None:
        """End for good."""
        await self.close(None)
        self.abort_connections()
        if self._runner is not None:
            await self._runner.cleanup()
        self._holder.close()

    def _open_later(self) -> None:
        self._opening = asyncio.get_running_loop().create_task(self.open())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _bound_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    return bound


def tls_context(config: SandboxConfig) -> ssl.SSLContext | None:
    """Return the TLS settings of the pilot's side, or None for plain HTTP.

    A client certificate is asked for, but not demanded, when there is a file of client authorities.

    Raises:
        OSError: A file cannot be read or does not hold what it should.
    """
    if config.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(config.tls_cert, config.tls_key)
    if config.client_ca is not None:
        context.load_verify_locations(config.client_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
