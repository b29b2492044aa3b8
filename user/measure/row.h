/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A row of the table: what is measured, and how to take one sample of it. */
#ifndef XSR_ROW_H
#define XSR_ROW_H

#include "bench.h"
#include "child.h"
#include "results.h"
#include "server.h"
#include "tcp_path.h"

enum row_program { ROW_STEER, ROW_DROP, ROW_PASS, ROW_NO_PROGRAM };

struct row {
	const char *name;
	const char *unit;
	bool lower_is_better;
	bool once; /* one sample says it all */
	/*
	 * Takes one sample: value, and what it has of the rest. 0; -EINTR if the user has had enough; else
	 * -errno with a sentence. Leaves nothing running.
	 */
	int (*sample)(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN]);
	unsigned int payload_len;
	enum row_program program; /* on the server's device */
	enum bench_service service;
	uint32_t n_ids;
	enum traffic_lookup lookup;
	struct server_params server;
	enum live_run_name run; /* which the row takes this figure from */
	unsigned int figure;
	struct {
		enum tcp_way way;
		uint32_t n_connections, n_sessions; /* in all */
		uint32_t window;		    /* unanswered on each session */
	} tcp;
};

/*
 * Puts the row's program on the server's end of a wire and `client` on the other, which needs one to take
 * what XDP sends there. 0 or -errno with a sentence.
 */
int row_attach(const struct bench *b, const struct row *row, enum lab_wire wire, enum traffic_program client,
	       char why[LAB_WHY_LEN]);

/* Starts the row's server on that wire; no child for SERVER_NONE. 0 or -errno with a sentence. */
int row_server_start(const struct bench *b, const struct row *row, enum lab_wire wire, struct child *server,
		     char why[LAB_WHY_LEN]);

/* The samples that rows are made of. */
int sample_rate(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN]);
int sample_rtt(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN]);
int sample_lookup(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN]);
int sample_import(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN]);
int sample_memory(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN]);
int sample_idle(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN]);
int sample_tcp_cpu(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN]);
int sample_tcp_rtt(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN]);
int sample_live(struct bench *b, const struct row *row, struct sample *sample, char why[LAB_WHY_LEN]);

#endif /* XSR_ROW_H */
