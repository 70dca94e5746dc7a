#!/usr/bin/env python3
"""Lists the utterances of wav.scp and text, with WeNet's arguments."""

import os
import sys

tool = os.path.splitext(os.path.abspath(__file__))[0] + ".sh"
os.execv(tool, [tool, *sys.argv[1:]])
