/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "version.h"

#include "git_rev.h"

const char *version_git_rev(void)
{
	return XSR_GIT_REV;
}
