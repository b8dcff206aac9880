"""What gives credentials to a cloud's own machines: identity.py PORT ROLE.

- An issuer of OpenID Connect (its configuration and its key), whose tokens for two subjects, `channel` and `stranger`,
  stand in files of these names once it answers.
- The instance metadata service, version 2: a session by PUT, then the role's name and its credentials.
- The agent of containers, at /container, for who bears the token in the file `pod`.

The credentials are those of the service whose address stands in the file `sts` by then, made anew for each who asks;
they are said to expire in a second, so that who keeps to that asks again. Each one's key is a line of the output.
"""

import base64
import datetime
import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, ROLE = int(sys.argv[1]), sys.argv[2]
ISSUER = f"http://127.0.0.1:{PORT}"
SESSION, POD = "a-session", "a-pod"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, **options).stdout


def token(subject):
    now = int(time.time())
    head = {"alg": "RS256", "kid": "1", "typ": "JWT"}
    claims = {"iss": ISSUER, "sub": subject, "aud": "segcast", "iat": now, "exp": now + 3600}
    text = ".".join(base64url(json.dumps(part).encode()) for part in (head, claims))
    return f"{text}.{base64url(openssl('dgst', '-sha256', '-sign', 'issuer.pem', input=text.encode()))}"


def credentials():
    query = {
        "Action": "AssumeRoleWithWebIdentity",
        "RoleArn": ROLE,
        "RoleSessionName": "instance",
        "Version": "2011-06-15",
        "WebIdentityToken": TOKEN,
    }
    with open("sts", encoding="ascii") as file:
        service = file.read()
    with urllib.request.urlopen(service, urllib.parse.urlencode(query).encode(), timeout=10) as answer:
        text = answer.read().decode()
    key, secret, session = (
        re.search(f"<{name}>([^<]*)<", text)[1] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
    )
    expiration = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    print(key, flush=True)
    return {
        "AccessKeyId": key,
        "SecretAccessKey": secret,
        "Token": session,
        "Expiration": expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, status=200):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        is_right = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self.answer(SESSION if is_right else "", 200 if is_right else 400)

    def do_GET(self):
        has_session = self.headers["X-aws-ec2-metadata-token"] == SESSION
        match self.path:
            case "/.well-known/openid-configuration":
                self.answer({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"})
            case "/keys":
                self.answer({"keys": [{"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "n": MODULUS, "e": "AQAB"}]})
            case "/latest/meta-data/iam/security-credentials/" if has_session:
                self.answer("a-role")
            case "/latest/meta-data/iam/security-credentials/a-role" if has_session:
                self.answer(credentials())
            case "/container" if self.headers["Authorization"] == POD:
                self.answer(credentials())
            case _:
                self.answer("", 401)


openssl("genrsa", "-out", "issuer.pem", "2048")
modulus = openssl("rsa", "-in", "issuer.pem", "-noout", "-modulus").decode().strip().removeprefix("Modulus=")
MODULUS, TOKEN = base64url(bytes.fromhex(modulus)), token("channel")
for name, text in {"channel": TOKEN, "stranger": token("stranger"), "pod": POD}.items():
    with open(name, "w", encoding="ascii") as file:
        file.write(text)
ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
