/* kernel.h - what the kernel we run on offers for giving rights up. */
#ifndef BASE_KERNEL_H
#define BASE_KERNEL_H

#include <stdbool.h>

/* The version of Landlock's interface (landlock(7): "ABI"); 0: there is none, or a container forbids it. */
int kernel_landlock_version(void);

/* Whether system calls can be filtered for all threads at once. */
bool kernel_has_seccomp(void);

#endif
