"""`watchdog.py LOG COMMAND...`: runs the command when its parent, supervisord, has died.

The watchdog and supervisord restart each other. Imports nothing of this package, to stay a small process.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

# supervisord must be back within two seconds, and its start takes most of them.
_LOOK_SECONDS = 0.1


def main(log: str, *command: str) -> None:
    # The session's leader, not the parent, which differs if supervisord died before this line.
    supervisord = os.getsid(0)
    while os.getppid() == supervisord:
        time.sleep(_LOOK_SECONDS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
    # Leaves the dead supervisord's session, which the command ends, and its pipes.
    with Path(log).open("ab") as output:
        subprocess.Popen(command, env=environment, start_new_session=True, stdout=output, stderr=output)


if __name__ == "__main__":
    main(*sys.argv[1:])
