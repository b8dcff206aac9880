"""An FTP server of the tests' own: pyftpdlib, with the ways of other servers where asked for.

It prints every command that it gets, so that tests can see what was sent.
"""

import argparse
import logging
import os

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS, FilesystemError
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.servers import FTPServer


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--user", default="deploy")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--login-folder", default="/")
    parser.add_argument("--certificate", help="PEM with the key; only TLS is let in then")
    parser.add_argument("--without", nargs="*", default=[], help="commands that it does not know")
    parser.add_argument("--permissions", default="elradfmwMT", help="those of pyftpdlib's authorizer")
    parser.add_argument("--renames-over-nothing", action="store_true")
    parser.add_argument("--idle", type=int, default=300, help="seconds until an idle connection is closed")
    parser.add_argument("--masquerade", help="the address that PASV tells")
    parser.add_argument("--passive", type=int, nargs=2, help="first and last port for data connections")
    return parser.parse_args()


def main():
    given = arguments()

    class Files(AbstractedFS):
        def rename(self, src, dst):
            if given.renames_over_nothing and os.path.lexists(dst):
                raise FilesystemError("Cannot create a file when that file already exists.")
            super().rename(src, dst)

    base = TLS_FTPHandler if given.certificate else FTPHandler

    class Handler(base):
        def on_login(self, username):
            self.fs.cwd = given.login_folder

    Handler.abstracted_fs = Files
    Handler.proto_cmds = {k: v for k, v in base.proto_cmds.items() if k not in given.without}
    Handler.timeout = given.idle
    Handler.masquerade_address = given.masquerade
    if given.passive:
        Handler.passive_ports = range(given.passive[0], given.passive[1] + 1)
    if given.certificate:
        Handler.certfile = given.certificate
        Handler.tls_control_required = True
        Handler.tls_data_required = True
    Handler.authorizer = DummyAuthorizer()
    Handler.authorizer.add_user(given.user, given.password, given.root, perm=given.permissions)
    logging.basicConfig(level=logging.DEBUG)
    FTPServer(("127.0.0.1", given.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
