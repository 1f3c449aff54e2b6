"""A small volume for one node's data, so that its disk can be full.

It is a tmpfs in a mount namespace that a process of ours holds open, so nothing stays mounted after the
run, even if it is killed. If the system does not allow that, there is no volume, and a quota on the
size of files is used instead (see `faults`).
"""

import os
import shutil
import subprocess
from pathlib import Path

PAGE_BYTES = 4_096
# the namespace must not propagate mounts to the rest of the machine
HOLD = 'mount -t tmpfs -o size="$1" tmpfs "$2" && echo ready && read -r _'


class Volume:
    """A mounted volume.

    Args:
        folder: where it is mounted, as the processes in its namespace see it.
        bytes: its size.

    Raises:
        PermissionError: if this machine does not let us mount one.
    """

    def __init__(self, folder: Path, bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._bytes = bytes
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", HOLD, "sh"]
        self._holder = subprocess.Popen(
            [*command, str(bytes), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            self.close()
            raise PermissionError("no tmpfs can be mounted here")

    @property
    def path(self) -> Path:
        """The volume as seen from outside the namespace."""
        return Path(f"/proc/{self._holder.pid}/root{self.folder}")

    @property
    def inside(self) -> list[str]:
        """The command prefix for commands that use the volume."""
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--wd=.", "--"]

    def fill(self) -> None:
        """Leave room for a page or two."""
        status = os.statvfs(self.path)
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        self._resize(used + 2 * PAGE_BYTES)

    def free(self) -> None:
        """Make room again."""
        self._resize(self._bytes)

    def close(self) -> None:
        """End the namespace, and the volume with it. Safe to call twice."""
        for pipe in (self._holder.stdin, self._holder.stdout):
            if pipe is not None:
                pipe.close()
        self._holder.kill()
        self._holder.wait()

    def _resize(self, bytes: int) -> None:
        remount = ["mount", "-o", f"remount,size={bytes}", str(self.folder)]
        subprocess.run([*self.inside, *remount], check=True, capture_output=True)


def small_volume(folder: Path, bytes: int) -> Volume | None:
    """A volume at `folder`; None if this machine does not allow one."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return None
    try:
        return Volume(folder, bytes)
    except PermissionError:
        return None
