#!/bin/sh
# SPDX-License-Identifier: MIT
# Print the python3 to use: the system's first, because the packages of a distribution
# (python3-protobuf) belong to it and not to another python3 that may come earlier in PATH.
for python in /usr/bin/python3 python3; do
    command -v "$python" && exit 0
done
echo python3
