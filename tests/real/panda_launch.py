"""A PanDA server's WSGI application behind TLS on the loopback, for the runs of docs/real-servers.md.

    PANDA_HOME=... PYTHONPATH=<panda-common>:<panda-server> python panda_launch.py PORT DIRECTORY

DIRECTORY holds host.pem (certificate and key) and ca.pem (the authority of the clients). In place of httpd and GridSite
it gives the application the client's name (SSL_CLIENT_S_DN); roles come from `production_dns` of the server's
configuration. Runs under the server's own Python, with its packages and werkzeug; not imported by Bulkhead.
"""

import importlib
import importlib.abc
import importlib.machinery
import ssl
import sys
import types
from pathlib import Path

_SHORT = {"countryName": "C", "organizationName": "O", "organizationalUnitName": "OU", "domainComponent": "DC"}
#: Workflow languages that the server imports and no pilot's call touches.
_NOT_NEEDED = frozenset({"snakemake", "snakemake_interface_common", "cwl_utils"})


class _Anything(types.ModuleType):
    """A package in which every name is a class."""

    __path__ = ()

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class NotNeeded(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for packages that are only imported."""

    def find_spec(self, name, _path=None, _target=None):
        """Return the stand-in for one of them."""
        if name.partition(".")[0] not in _NOT_NEEDED:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        """Make the stand-in."""
        return _Anything(spec.name)

    def exec_module(self, module) -> None:
        """Leave it as it is."""


def one_line(subject) -> str:
    """Return a certificate's subject as GridSite writes it: /DC=test/CN=Somebody."""
    return "".join(f"/{_SHORT.get(name, 'CN')}={value}" for part in subject for name, value in part)


def main(port: int, directory: Path) -> None:
    """Serve until killed."""
    sys.meta_path.append(NotNeeded())
    serving = importlib.import_module("werkzeug.serving")
    application = importlib.import_module("pandaserver.server.panda").application

    class Handler(serving.WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def make_environ(self):
            environ = super().make_environ()
            environ.update(SCRIPT_NAME=environ["PATH_INFO"], PATH_INFO="")
            environ["CONTENT_LENGTH"] = environ.get("CONTENT_LENGTH") or "0"
            certificate = self.connection.getpeercert()
            if certificate:
                environ["SSL_CLIENT_S_DN"] = one_line(certificate["subject"])
            return environ

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "host.pem")
    context.load_verify_locations(directory / "ca.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_ALLOW_PROXY_CERTS
    options = {"threaded": True, "request_handler": Handler, "ssl_context": context}
    serving.make_server("127.0.0.1", port, application, **options).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
