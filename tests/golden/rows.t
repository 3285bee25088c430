#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What --json prints is of the schema doc/schema/rows.json.
exec "$TOP/tests/golden/rows"
