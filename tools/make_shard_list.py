#!/usr/bin/env python3
"""Packs the utterances of wav.scp and text into tar shards, with WeNet's arguments."""

import os
import sys

tool = os.path.splitext(os.path.abspath(__file__))[0] + ".sh"
os.execv(tool, [tool, *sys.argv[1:]])
