"""Slurm's accounting on a database of its own, with one account, one QOS and a memory limit.

Needs root and Debian's slurmdbd and mariadb-server.
"""

import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb", "sacctmgr")
ACCOUNT, QOS, MEMORY = "vision", "long", 100
"""What a job must name, and the megabytes that it must ask for at least."""
DAEMON = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdPort={accounting_port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass=secret
StorageLoc=slurm
LogFile={folder}/accounting.log
PidFile={folder}/accounting.pid
"""
CONFIGURATION = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort={accounting_port}
AccountingStoragePass={folder}/munge.socket
AccountingStorageEnforce=associations,limits,qos
EnforcePartLimits=ALL
"""
PARTITION = f"AllowAccounts={ACCOUNT} AllowQos={QOS}"
USER = """
CREATE DATABASE slurm;
CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'secret';
GRANT ALL ON slurm.* TO slurm@'127.0.0.1';
"""
RULES = f"""
add cluster small
add account idle
add account {ACCOUNT}
add qos {QOS}
modify qos {QOS} set MinTRESPerJob=mem={MEMORY} Flags=DenyOnLimit
add user root account=idle DefaultAccount=idle
add user root account={ACCOUNT}
modify user root set qos=normal,{QOS}
"""


def missing():
    """Return why accounting cannot run here, or an empty text."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"no {', '.join(lacking)} on this machine" if lacking else ""


def start(folder: Path, ports, start_daemon, wait_until):
    """Start the database and Slurm's daemon for it."""
    data, socket = folder / "database", folder / "database.socket"
    options = ("--no-defaults", "--user=root", f"--datadir={data}")
    subprocess.run(
        ["mariadb-install-db", *options, "--auth-root-authentication-method=normal"],
        check=True, capture_output=True,
    )  # fmt: skip
    place = (f"--socket={socket}", f"--port={ports['database_port']}", "--bind-address=127.0.0.1")
    start_daemon("mariadbd", *options, *place, f"--pid-file={folder}/database.pid")
    wait_until(socket.exists)
    client = ["mariadb", "--no-defaults", f"--socket={socket}", "--user=root"]
    subprocess.run(client, input=USER, text=True, check=True)
    configuration = folder / "slurmdbd.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(DAEMON.format(folder=folder, **ports))
    start_daemon("slurmdbd", "-D")


def add_rules(environment, wait_until):
    """Tell the accounting which account, QOS and memory a job must have."""

    def tell(rule):
        words = ["sacctmgr", "--immediate", *rule.split()]
        return subprocess.run(words, env=environment, capture_output=True).returncode == 0

    first, *others = RULES.strip().splitlines()
    wait_until(lambda: tell(first))
    for rule in others:
        assert tell(rule), rule
