"""`python -m sailplane.supervisor`: boots supervisord for the home that the environment names."""

from sailplane.home import Home
from sailplane.supervisor import Supervisor

Supervisor(Home.find()).boot()
