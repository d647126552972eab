"""Simulated machines reached by SSH: each has its own network, processes and home folder.

They are network namespaces on a bridge, with addresses of a test network (RFC 2544). Needs root.
"""

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.slurm import wait_until

PROGRAMS = ("ip", "unshare", "sshd", "ssh", "ssh-keygen", "rsync")
BRIDGE, NETWORK = "sweeps0", "198.18.7"
CONFIGURATION = """\
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PermitUserEnvironment no
Subsystem sftp internal-sftp
"""


def missing():
    """Return why such machines cannot run here, or an empty text."""
    if os.geteuid() != 0:
        return "namespaces need root"
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        return f"no {', '.join(lacking)} on this machine"
    own = subprocess.run(["unshare", "--net", "--mount", "--uts", "true"], capture_output=True)
    return "" if own.returncode == 0 else f"no namespaces here: {own.stderr.decode().strip()}"


class Machines:
    """Machines by name, in the order of their addresses; a context manager."""

    def __init__(self, folder: Path, *names: str):
        self.folder = folder
        self.addresses = {name: f"{NETWORK}.{number}" for number, name in enumerate(names, 2)}
        self.key = folder / "key"
        self._daemons = []

    def __enter__(self):
        for name in ("key", "host_key"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name]
            subprocess.run(words, check=True)
        (self.folder / "sshd_config").write_text(CONFIGURATION.format(folder=self.folder))
        for shared in ("/run/sshd", "/tmp/ray"):
            Path(shared).mkdir(exist_ok=True)
        try:
            ip(f"link add {BRIDGE} type bridge")
            ip(f"addr add {NETWORK}.1/24 dev {BRIDGE}")
            ip(f"link set {BRIDGE} up")
            for name, address in self.addresses.items():
                self._start(name, address)
            for name in self.addresses:
                wait_until(lambda name=name: self.ssh(name, "true").returncode == 0)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for daemon in self._daemons:
            daemon.kill()  # This also kills all processes of the machine.
            daemon.wait()
        for name in self.addresses:
            ip(f"netns del {name}", check=False)
        ip(f"link del {BRIDGE}", check=False)

    def home(self, name):
        """Return the path of the home folder of a machine."""
        return self.folder / f"home-{name}"

    def ssh(self, name, command):
        """Run a command on a machine."""
        options = ("-i", self.key, "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR")
        options += ("-o", f"UserKnownHostsFile={os.devnull}", "-o", "ConnectTimeout=5")
        words = ["ssh", *options, f"root@{self.addresses[name]}", command]
        return subprocess.run(words, capture_output=True, text=True)

    def _start(self, name, address):
        home, temporary = self.home(name), self.folder / f"tmp-{name}"
        home.mkdir()
        temporary.mkdir()
        users = self.folder / f"passwd-{name}"
        users.write_text(f"root:x:0:0:root:{home}:/bin/bash\nsshd:x:99:65534::/:/bin/false\n")
        ip(f"netns add {name}")
        ip(f"link add {name}0 type veth peer name eth0 netns {name}")
        ip(f"link set {name}0 master {BRIDGE} up")
        ip(f"-n {name} addr add {address}/24 dev eth0")
        for device in ("lo", "eth0"):
            ip(f"-n {name} link set {device} up")
        ip(f"-n {name} route add default via {NETWORK}.1")
        inside = (
            f"hostname {name} && mount --bind {users} /etc/passwd && "
            f"mount --bind {temporary} /tmp/ray && "
            f"exec {shutil.which('sshd')} -D -f {self.folder}/sshd_config"
        )
        own = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts")
        words = ["ip", "netns", "exec", name, *own, "sh", "-c", inside]
        self._daemons.append(subprocess.Popen(words, stderr=subprocess.DEVNULL))


def ip(words, check=True):
    subprocess.run(["ip", *words.split()], check=check, stderr=subprocess.DEVNULL)
