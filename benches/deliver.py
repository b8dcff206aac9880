"""Runs benches/deliver.rs beside other clients: see benches/deliver.sh, which starts this."""

import contextlib
import getpass
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

FILES = 200
# One client may take so long, for one round.
LIMIT_SECONDS = 120
SIZES = {"segments": 1_000_000, "playlists": 2_000}
KEY, SECRET, BUCKET = "AKSEGCASTBENCH", "secret/of+the=bench", "bench"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


def quiet(*command):
    """Runs a command; what it prints is shown if it fails."""
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": LIMIT_SECONDS}
    done = subprocess.run(command, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done.stdout


class Server:
    """A server of ours, over a folder of its own."""

    def __init__(self, stack, root, name):
        self.folder = os.path.join(root, name)
        self.files = os.path.join(self.folder, "files")
        self.port = free_port()
        os.makedirs(self.files)
        command = getattr(self, name)()
        log = stack.enter_context(open(f"{self.folder}/log", "wb"))
        child = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        stack.callback(child.wait)
        stack.callback(child.terminate)
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", self.port)):
            if child.poll() is not None or time.monotonic() > deadline:
                with open(f"{self.folder}/log", errors="replace") as log:
                    sys.exit(f"{name} does not answer: {' '.join(command)}\n{log.read()}")
            time.sleep(0.05)

    def nginx(self):
        places = " ".join(
            f"{name}_temp_path {self.folder}/{name};"
            for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        )
        user = "user root;" if os.geteuid() == 0 else ""
        text = f"""daemon off; worker_processes 1; pid {self.folder}/pid; error_log stderr; {user} events {{}}
            http {{
                access_log off; client_max_body_size 0; keepalive_requests 1000000; {places}
                server {{
                    listen 127.0.0.1:{self.port}; root {self.files};
                    dav_methods PUT DELETE MKCOL; create_full_put_path on;
                }}
            }}"""
        return ["nginx", "-p", self.folder, "-e", "stderr", "-c", write(f"{self.folder}/nginx.conf", text)]

    def vsftpd(self):
        os.chmod(self.folder, 0o755)
        os.chmod(self.files, 0o755)
        os.makedirs(f"{self.files}/home")
        os.chmod(f"{self.files}/home", 0o777)
        os.makedirs(f"{self.folder}/empty")
        passwords = write(f"{self.folder}/passwords", "secret\n")
        text = f"""listen=YES\nbackground=NO\nlisten_address=127.0.0.1\nlisten_port={self.port}
anonymous_enable=YES\nlocal_enable=NO\nanon_root={self.files}
secure_email_list_enable=YES\nemail_password_file={passwords}\nsecure_chroot_dir={self.folder}/empty
write_enable=YES\nanon_upload_enable=YES\nanon_mkdir_write_enable=YES\nanon_other_write_enable=YES
anon_world_readable_only=NO\nanon_umask=022\nseccomp_sandbox=NO\n"""
        return ["vsftpd", write(f"{self.folder}/vsftpd.conf", text)]

    def sshd(self):
        for name in ["host", "user"]:
            quiet("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{self.folder}/{name}")
        with open(f"{self.folder}/host.pub") as key:
            write(f"{self.folder}/known_hosts", f"[127.0.0.1]:{self.port} {key.read()}")
        with contextlib.suppress(PermissionError):
            os.makedirs("/run/sshd", exist_ok=True)
        # bash takes SHLVL for a shell above it, and leaves out what the user's .bashrc holds.
        text = f"""ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {self.folder}/host\nPidFile none
AuthorizedKeysFile {self.folder}/user.pub\nStrictModes no\nUsePAM no\nPasswordAuthentication no
Subsystem sftp internal-sftp\nMaxStartups 100\nSetEnv SHLVL=2\n"""
        return [shutil.which("sshd"), "-D", "-e", "-f", write(f"{self.folder}/sshd_config", text)]

    def weed(self):
        identity = f'{{"name": "x", "credentials": [{{"accessKey": "{KEY}", "secretKey": "{SECRET}"}}],'
        write(f"{self.folder}/s3.json", f'{{"identities": [{identity} "actions": ["Admin"]}}]}}')
        command = ["weed", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=.", "-s3", "-s3.config=s3.json"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
        command += ["-master.volumeSizeLimitMB=256", "-volume.max=20", f"-s3.port={self.port}"]
        for name in ["master.port", "volume.port", "filer.port"]:
            command += [f"-{name}={free_port()}", f"-{name}.grpc={free_port()}"]
        return [*command, f"-s3.port.grpc={free_port()}"]


def boto(port):
    import boto3
    from botocore.config import Config

    # A server that has just started may never answer its first request.
    return boto3.client(
        "s3", config=Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 0}), endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
        aws_access_key_id=KEY, aws_secret_access_key=SECRET,
    )  # fmt: skip


def boto_puts(port, folder):
    """Puts a folder's files through one client, and prints how long that took without loading Python's modules."""
    client = boto(port)
    begun = time.perf_counter()
    for name in sorted(os.listdir(folder)):
        with open(f"{folder}/{name}", "rb") as file:
            client.put_object(Bucket=BUCKET, Key=f"boto/{name}", Body=file)
    print(time.perf_counter() - begun)


class Kind:
    """A destination's keys, and the commands of others that send the files `{source}/000` to `{source}/199` there."""

    def __init__(self, keys, others):
        self.keys, self.others = keys, others


def copy(stack, root):
    os.makedirs(f"{root}/copy/peer")
    sources = lambda source: [f"{source}/{n:03}" for n in range(FILES)]
    return Kind(
        {"url": f"{root}/copy/live"}, {"cp": lambda source: ["cp", *sources(source), f"{root}/copy/peer"]}
    )


def http(stack, root):
    server = Server(stack, root, "nginx")
    url = f"http://127.0.0.1:{server.port}"
    curl = lambda source: ["curl", "-sSf", "-T", f"{source}/[000-199]", f"{url}/peer/"]
    return Kind(
        {"url": f"{url}/live"},
        {"curl, kept alive": curl, "curl, 4 at once": lambda source: [*curl(source), "-Z", "--parallel-max", "4"]},
    )


def s3(stack, root):
    server = Server(stack, root, "weed")
    deadline = time.monotonic() + 60
    while True:
        try:
            if BUCKET not in [bucket["Name"] for bucket in boto(server.port).list_buckets()["Buckets"]]:
                boto(server.port).create_bucket(Bucket=BUCKET)
            boto(server.port).put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
            break
        except Exception as error:
            if time.monotonic() > deadline:
                sys.exit(f"SeaweedFS is not ready: {error}")
            time.sleep(0.2)
    endpoint = f"http://127.0.0.1:{server.port}"
    keys = {"access_key_id": KEY, "secret_access_key": SECRET}
    sign = ["--aws-sigv4", "aws:amz:us-east-1:s3", "-u", f"{KEY}:{SECRET}"]
    return Kind(
        {"url": f"s3://{BUCKET}/live?endpoint={endpoint}&region=us-east-1", **keys},
        {
            "boto3": lambda source: [sys.executable, __file__, "boto", str(server.port), source],
            "curl": lambda source: ["curl", "-sSf", *sign, "-T", f"{source}/[000-199]", f"{endpoint}/{BUCKET}/curl/"],
        },
    )


def ftp(stack, root):
    server = Server(stack, root, "vsftpd")
    url = f"ftp://anonymous:secret@127.0.0.1:{server.port}/home/peer/"
    curl = ["curl", "-sSf", "--ftp-create-dirs"]
    others = {"curl, kept alive": lambda source: [*curl, "-T", f"{source}/[000-199]", url]}
    if shutil.which("lftp"):
        mput = lambda source: f"set ftp:use-feat no; open {url}; mput {source}/*"
        others["lftp"] = lambda source: ["lftp", "-c", mput(source)]
    return Kind({"url": f"ftp://anonymous@127.0.0.1:{server.port}/home/live", "password": "secret"}, others)


def ssh(stack, root, scheme):
    os.makedirs(f"{root}/{scheme}")
    server = Server(stack, f"{root}/{scheme}", "sshd")
    os.makedirs(f"{server.files}/peer")
    user, known, key = getpass.getuser(), f"{server.folder}/known_hosts", f"{server.folder}/user"
    options = ["-q", "-F", "/dev/null", "-P", str(server.port), "-i", key]
    options += ["-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}", "-o", "IdentitiesOnly=yes"]
    place = f"{user}@127.0.0.1"

    def sftp(source):
        batch = write(f"{server.folder}/batch", f"put {source}/* {server.files}/peer/\n")
        return ["sftp", *options, "-b", batch, place]

    def scp(source):
        return ["scp", "-O", *options, *[f"{source}/{n:03}" for n in range(FILES)], f"{place}:{server.files}/peer/"]

    return Kind(
        {"url": f"{scheme}://{place}:{server.port}{server.files}/live", "private_key": key, "known_hosts": known},
        {"sftp -b": sftp} if scheme == "sftp" else {"scp -O": scp},
    )


KINDS = {
    "copy": copy, "http": http, "s3": s3, "ftp": ftp,
    "sftp": lambda stack, root: ssh(stack, root, "sftp"), "scp": lambda stack, root: ssh(stack, root, "scp"),
}  # fmt: skip


def configuration(path, keys):
    lines = "".join(f'{key} = "{value}"\n' for key, value in keys.items())
    return write(path, f'input.url = "test"\n[[rendition]]\nname = "a"\naudio = {{}}\n[[destination]]\n{lines}')


def ours(program, config, at_once):
    """Seconds, median and 95 % milliseconds for each of what the program does."""
    lines = quiet(program, config, str(at_once)).splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return {row[1]: [float(cell) for cell in row[5:8]] for row in rows}


def other(command):
    begun = time.perf_counter()
    printed = quiet(*command)
    took = time.perf_counter() - begun
    # boto_puts tells it itself.
    return [float(printed) if command[0] == sys.executable else took, float("nan"), float("nan")]


def measure(name, program, runs, root, sources):
    results = {}
    with contextlib.ExitStack() as stack:
        kind = KINDS[name](stack, root)
        config = configuration(f"{root}/{name}.toml", kind.keys)
        refused = {}
        for run in range(runs + 1):
            found = {("both", f"segcast, {n} at once"): None for n in (1, 4)}
            for at_once in (1, 4):
                for what, row in ours(program, config, at_once).items():
                    found[what, f"segcast, {at_once} at once"] = row
            for client, command in kind.others.items():
                for what in SIZES:
                    if client not in refused:
                        try:
                            found[what, client] = other(command(sources[what]))
                        except RuntimeError as error:
                            refused[client] = str(error)
            if run:
                for key, row in found.items():
                    results.setdefault(key, []).append(row)
    for client, error in refused.items():
        print(f"{name}: {client} cannot do it: {error.strip().splitlines()[-1]}")
    return {key: [statistics.median(column) for column in zip(*rows)] for key, rows in results.items()}


def show(name, medians):
    for what in ["segments", "playlists", "both"]:
        clients = {client: row for (which, client), row in medians.items() if which == what}
        peers = [row[0] for client, row in clients.items() if not client.startswith("segcast")]
        for client, (seconds, median, most) in clients.items():
            files = f"{seconds / FILES * 1e3:9.2f} {median:9.2f} {most:9.2f}"
            rate = f"{SIZES[what] * FILES / seconds / 1e6:8.1f}" if what in SIZES else f"{'':8}"
            ratio = f"{seconds / peers[0]:9.2f}" if peers else ""
            print(f"{name:5} {what:10} {client:20} {files} {rate} {ratio}".rstrip())
    sys.stdout.flush()


def main():
    program, runs, names = sys.argv[1], int(sys.argv[2]), sys.argv[3:] or list(KINDS)
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        sys.exit(f"no such kind: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    # Servers of the system's run as a user of their own and must get in.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    root = tempfile.mkdtemp(prefix="segcast-deliver.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    os.chmod(root, 0o755)
    try:
        sources = {}
        for what, size in SIZES.items():
            sources[what] = f"{root}/{what}"
            os.makedirs(sources[what])
            for n in range(FILES):
                write(f"{sources[what]}/{n:03}", "G" * size)
        print(f"{FILES} segments of 1 MB, {FILES} playlists of 2 kB; both: a segment, then a playlist, {FILES} times")
        print(f"medians of {runs} runs; {platform.machine()}, {os.cpu_count()} cores; ratio: to the first other client")
        print(f"{'':37} {'ms/file':>9} {'median':>9} {'95 %':>9} {'MB/s':>8} {'ratio':>9}")
        for name in names:
            show(name, measure(name, program, runs, root, sources))
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["boto"]:
        boto_puts(int(sys.argv[2]), sys.argv[3])
    else:
        main()
