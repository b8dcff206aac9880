"""What Google Cloud Storage's XML interface does with objects, in memory: gcs.py PORT BUCKET [TOKEN].

It stands in for a server of Google's own: there is none to install, and emulators have the JSON interface alone. PUT,
GET, HEAD and DELETE, generations with x-goog-if-generation-match, and the XML of an answer that says no, as in
https://cloud.google.com/storage/docs/xml-api/reference-headers. Anyone may read; with a TOKEN, only who bears it may
do more.
"""

import email.utils
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEPT = ("content-type", "cache-control", "content-language", "content-encoding", "content-disposition")
LOCK = threading.Lock()
OBJECTS = {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code, message):
        body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        self.answer(status, [("Content-Type", "application/xml; charset=UTF-8")], body.encode())

    def handle_request(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        _, bucket, key = urllib.parse.unquote(self.path.split("?")[0]).split("/", 2)
        if bucket != BUCKET:
            self.refuse(404, "NoSuchBucket", "The specified bucket does not exist.")
        elif self.command in ("PUT", "DELETE") and TOKEN and self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.refuse(401, "AuthenticationRequired", "Authentication required.")
        else:
            with LOCK:
                self.apply(key, body)

    do_GET = do_HEAD = do_PUT = do_DELETE = handle_request

    def apply(self, key, body):
        generation, there, content = OBJECTS.get(key, ("0", None, None))
        if self.headers.get("x-goog-if-generation-match", generation) != generation:
            self.refuse(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.")
        elif self.command == "PUT":
            generation = str(time.time_ns())
            named = {name.lower(): value for name, value in self.headers.items()}
            headers = [(name, value) for name, value in named.items() if name in KEPT or name.startswith("x-goog-meta-")]
            headers += [("x-goog-storage-class", named.get("x-goog-storage-class", "STANDARD"))]
            version = [("ETag", f'"{generation}"'), ("x-goog-generation", generation)]
            OBJECTS[key] = generation, [*headers, *version, ("Last-Modified", email.utils.formatdate(usegmt=True))], body
            self.answer(200, version)
        elif there is None:
            self.refuse(404, "NoSuchKey", "The specified key does not exist.")
        elif self.command == "DELETE":
            del OBJECTS[key]
            self.answer(204)
        else:
            self.answer(200, there, content)


PORT, BUCKET, TOKEN = (*sys.argv[1:], None)[:3]
ThreadingHTTPServer(("127.0.0.1", int(PORT)), Handler).serve_forever()
