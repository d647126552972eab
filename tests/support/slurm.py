"""A real two-node Slurm on this machine. Needs root and Debian's slurmctld, slurmd and munge."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support import slurm_accounts

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "unshare")
NODES = ("left", "right")
OVER = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "PREEMPTED")
"""States of a job that has ended."""
PATIENCE_SECONDS = 120.0
CONFIGURATION = """\
ClusterName=small
# Another test process may run a Slurm of its own; jobs of both never have the same number.
FirstJobId={control_port}
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={control_port}
AuthType=auth/munge
# A requeued job may start after cred_expire seconds; Slurm treats less than five as 120.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/control.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/control.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={folder}/prolog.sh
MpiDefault=none
SchedulerParameters=bf_interval=1,sched_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
SlurmdParameters=config_overrides
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait={kill_wait}
NodeName=DEFAULT CPUs=2 RealMemory=4000 Gres=gpu:v100l:2
NodeName=left NodeHostname=localhost NodeAddr=127.0.0.1 Port={left_port} Feature=old
NodeName=right NodeHostname=localhost NodeAddr=127.0.0.1 Port={right_port} Feature=new
DefMemPerNode={memory}
PartitionName=all Nodes=left,right Default=YES State=UP PriorityTier=1 {notice} {allowed}
PartitionName=urgent Nodes=left,right State=UP PriorityTier=2 PreemptMode=OFF
{accounting}
"""
NOTICE = ("PreemptMode=CANCEL", "GraceTime=25")
"""A preempted job gets SIGTERM, and 25 seconds later is ended for good."""
REQUEUE = ("PreemptMode=REQUEUE", "GraceTime=0")
"""Slurm ends a preempted job at once and requeues it."""
CARDS = "NodeName=left,right Name=gpu Type=v100l File={folder}/card[0-1]\n"
"""Two GPUs on each node for Slurm, which only looks whether the files are devices."""
PROLOG = """\
#!/bin/sh
cat {folder}/environment-$SLURMD_NODENAME
"""


def missing():
    """Return why Slurm cannot run here, or an empty text."""
    if os.geteuid() != 0:
        return "Slurm's daemons need root"
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        return f"no {', '.join(lacking)} on this machine"
    own = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    return "" if own.returncode == 0 else f"no namespaces here: {own.stderr.strip()}"


class SmallSlurm:
    """Two nodes, ``left`` and ``right``, with two cores and two GPUs each; a context manager.

    Their features are ``old`` and ``new``. GPUs are links to ``/dev/null``. Jobs of partition
    ``urgent`` preempt others. A strict one demands an account, a QOS and memory
    (`tests.support.slurm_accounts`).
    """

    def __init__(self, folder: Path, *, strict: bool = False, kill_wait: int = 30):
        """Put all files into ``folder``; SIGKILL comes ``kill_wait`` seconds after SIGTERM."""
        self.folder = folder
        self._strict = strict
        self._kill_wait = kill_wait
        self.read_only = folder / "read-only-on-the-right"
        """A folder that the right node cannot write to."""
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons = []
        self._nodes = {}

    def __enter__(self):
        try:
            self._set_up()
        except BaseException:
            self._stop_daemons()
            raise
        return self

    def __exit__(self, *_):
        self.ask("scancel", "--user=root")
        wait_until(lambda: not self.ask("squeue", "--noheader"))
        self._stop_daemons()

    def _set_up(self):
        for name in ("state", *NODES, self.read_only.name):
            (self.folder / name).mkdir()
        for node in NODES:
            self.export(node)
        names = ("control_port", "left_port", "right_port", "accounting_port", "database_port")
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        for card in range(2):
            (self.folder / f"card{card}").symlink_to("/dev/null")
        (self.folder / "gres.conf").write_text(CARDS.format(folder=self.folder))
        accounting = slurm_accounts.CONFIGURATION.format(folder=self.folder, **ports)
        configuration = CONFIGURATION.format(
            folder=self.folder,
            memory=1 if self._strict else 1000,
            kill_wait=self._kill_wait,
            notice=" ".join(NOTICE),
            allowed=slurm_accounts.PARTITION if self._strict else "",
            accounting=accounting if self._strict else "",
            **ports,
        )
        (self.folder / "slurm.conf").write_text(configuration)
        prolog = self.folder / "prolog.sh"
        prolog.write_text(PROLOG.format(folder=self.folder))
        prolog.chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(64))
        key.chmod(0o600)
        files = {"socket": "munge.socket", "key-file": key.name, "log-file": "munge.log"}
        files |= {"pid-file": "munge.pid", "seed-file": "munge.seed"}
        # With -f (force), because a test's folder is closed to other users.
        options = (f"--{option}={self.folder / file}" for option, file in files.items())
        self._start("munged", "-F", "-f", *options)
        wait_until((self.folder / "munge.socket").exists)
        if self._strict:
            slurm_accounts.start(self.folder, ports, self._start, wait_until)
            slurm_accounts.add_rules(self.environment, wait_until)
        self._start("slurmctld", "-D")
        wait_until(lambda: "is UP" in self.ask("scontrol", "ping"))
        for node in NODES:
            self.start_node(node)
        wait_until(lambda: self.ask("sinfo", "--noheader", "--format=%D %t").strip() == "2 idle")

    def _stop_daemons(self):
        for daemon in reversed(self._daemons):
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(PATIENCE_SECONDS)

    def export(self, node, **variables):
        """Set environment variables of all tasks on a node, as a site's start-up files would."""
        lines = [f"export {name}={value}\n" for name, value in variables.items()]
        (self.folder / f"environment-{node}").write_text("".join(lines))

    def kill_node(self, node, job):
        """Kill a node with all processes of a job there, and mark the node as down."""
        stopped: dict[int, psutil.Process] = {}
        # No process should notice that another one dies, and none should start meanwhile.
        while found := [one for one in self._of_node(node, job) if one.pid not in stopped]:
            for process in found:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
                stopped[process.pid] = process
        # The youngest first: Linux continues stopped processes, with SIGHUP, whose parent dies.
        for process in sorted(stopped.values(), key=_birth, reverse=True):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._nodes[node].wait()
        self.ask("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=killed")

    def _of_node(self, node, job):
        """Return the node's daemon, and all processes of the job on that node."""
        spool, daemon = f"{self.folder}/{node}/", self._nodes[node].pid
        sockets = psutil.net_connections("unix")
        steps = {socket.pid for socket in sockets if socket.laddr.startswith(spool) and socket.pid}
        found = [psutil.Process(pid) for pid in {daemon, *steps} if psutil.pid_exists(pid)]
        for process in psutil.process_iter(["environ", "cmdline"]):
            # The batch script runs on the first node.
            is_batch = f"[{job}.batch]" in " ".join(process.info["cmdline"] or ())
            if (is_batch and node == NODES[0]) or _is_on(node, process, job):
                found.append(process)
        return found

    def start_node(self, node):
        """Start or restart a node."""
        words = ["slurmd", "-D", "-N", node]
        if node == "right":
            hide = f"mount --bind -o ro {self.read_only} {self.read_only}"
            words = ["unshare", "--mount", "sh", "-c", f"{hide} && exec {' '.join(words)}"]
        self._nodes[node] = self._start(*words)

    def submit_urgent(self, how=NOTICE):
        """Submit a job that needs both nodes and preempts others; return its number."""
        self.ask("scontrol", "update", "PartitionName=all", *how)
        words = ("--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null")
        return self.ask("sbatch", "--parsable", *words, "--wrap", "sleep 600").strip()

    def ask(self, *words):
        """Run a Slurm command; return its output."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        return done.stdout

    def wait(self, job, seconds):
        """Wait until a job is over; return its state and how often it was requeued."""
        wait_until(lambda: self.look(job)["JobState"] in OVER, seconds)
        found = self.look(job)
        return found["JobState"], int(found["Restarts"])

    def look(self, job):
        """Return what Slurm says of a job, by the names that it uses."""
        words = self.ask("scontrol", "--oneliner", "show", "job", job).split()
        return dict(word.partition("=")[::2] for word in words)

    def _start(self, *words):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        daemon = subprocess.Popen(words, env=self.environment, **quiet)
        self._daemons.append(daemon)
        return daemon


def _is_on(node, process, job):
    environment = process.info["environ"] or {}
    place = {"SLURMD_NODENAME": node, "SLURM_JOB_ID": job}
    return place.items() <= environment.items()


def _birth(process):
    """Return when a process began, which is before its children."""
    try:
        return process.create_time(), process.pid
    except psutil.NoSuchProcess:
        return 0.0, process.pid


def free_ports(count):
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports


def wait_until(condition, seconds=PATIENCE_SECONDS):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"timed out after {seconds} s"
        time.sleep(0.2)
