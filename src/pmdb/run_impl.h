/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of "pmdb run" share. */
#ifndef PMDB_RUN_IMPL_H
#define PMDB_RUN_IMPL_H

#include <sys/types.h>

/** Sends a signal to a process and all its descendants. */
void run_signal_tree(pid_t pid, int signo);

#endif
