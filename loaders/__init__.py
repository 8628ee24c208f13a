"""Batched and cached reads. The only folder that uses aiodataloader.

Reach a loader as `loaders.X`; all public names of its modules are here.
"""

from loaders.accounts import *
from loaders.base import *
from loaders.by_kind import *
from loaders.catalog import *
from loaders.playback import *
from loaders.providers import *
from loaders.search import *
from loaders.shows import *
from loaders.statistics import *
