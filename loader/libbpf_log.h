/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What libbpf would print: kept, so that one sentence can tell the kernel's reason. */
#ifndef XSR_LIBBPF_LOG_H
#define XSR_LIBBPF_LOG_H

/* From here on libbpf's messages are kept per thread, not printed. Idempotent. */
void libbpf_log_capture(void);

/*
 * The kernel's own words in the last messages of this thread, else "" (borrowed until the
 * next libbpf call), and forgets them.
 */
const char *libbpf_log_take(void);

#endif /* XSR_LIBBPF_LOG_H */
