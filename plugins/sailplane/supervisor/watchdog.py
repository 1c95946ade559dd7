"""`watchdog.py LOG COMMAND...`: runs the command when supervisord, which started it, has died.

The watchdog and supervisord restart each other. It imports nothing of this package, to be a small process.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

# supervisord is to be back within two seconds, and its start takes most of them.
_LOOK_SECONDS = 0.1


def main(log: str, *command: str) -> None:
    # Its session's leader: the parent is another one, if supervisord died before this line.
    supervisord = os.getsid(0)
    while os.getppid() == supervisord:
        time.sleep(_LOOK_SECONDS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
    # Away from the dead one's session, which the command ends; and from its pipes.
    with Path(log).open("ab") as said:
        subprocess.Popen(command, env=environment, start_new_session=True, stdout=said, stderr=said)


if __name__ == "__main__":
    main(*sys.argv[1:])
