"""`python -m sailplane.supervisor`: boots supervisord for the home in the environment."""

from sailplane.home import Home
from sailplane.supervisor import Supervisor

Supervisor(Home.find()).boot()
