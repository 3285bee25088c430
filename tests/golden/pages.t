#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The examples of the documents print what the documents say.
exec "$TOP/tests/golden/pages"
