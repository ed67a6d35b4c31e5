/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 the privheap authors */
/* follow.h -- keeps the preload object out of the programs that a program starts. */
#ifndef PH_FOLLOW_H
#define PH_FOLLOW_H

/* Take our entries out of LD_PRELOAD, and PRIVHEAP_NO_FOLLOW, in `environ`, in place.  Ours are
 * the entries whose file name is that of `own_name` (a path or a bare name).  Call it while no
 * other thread reads the environment.  Never allocates, never calls libc. */
void ph_env_unfollow(char **environ, const char *own_name);

#endif
