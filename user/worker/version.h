/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef XSR_VERSION_H
#define XSR_VERSION_H

#define XSR_VERSION "1.0"

/* The revision that was built, "-dirty" behind it if files had changed. Constant. */
const char *version_git_rev(void);

#endif /* XSR_VERSION_H */
