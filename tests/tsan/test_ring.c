/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The same tests, built with the thread sanitizer. */
#include "../unit/test_ring.c"
