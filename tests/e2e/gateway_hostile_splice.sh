#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The same as gateway_hostile, where the kernel moves the bytes: mode splice.
MODE=splice
. "$(dirname "$0")/gateway_hostile.sh"
