/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The router's messages on stderr, one line each; with the journal's priorities if it reads them. */
#ifndef XSR_LOG_H
#define XSR_LOG_H

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* XSR_LOG_H */
