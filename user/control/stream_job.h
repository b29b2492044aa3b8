/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What somebody asked for at once: sessions of TCP services that are to move, and what becomes of them. Control thread only. */
#ifndef XSR_STREAM_JOB_H
#define XSR_STREAM_JOB_H

#include <sys/queue.h>

#include "handoff.h"

/* A session, and where it shall go. */
struct stream_wish {
	uint64_t id;
	uint32_t service;
	bool to_worker;	 /* with all that its client's connection carries; else to a backend */
	uint32_t number; /* of that */
};

struct stream_job {
	struct stream_wish *wishes;
	size_t next; /* that is begun */
	struct handoff_report report;
	uint64_t begun_ns, progress_ns;
	void (*progress)(const struct handoff_report *report, void *arg);
	void (*done)(const struct handoff_report *report, void *arg);
	void *arg;
	TAILQ_ENTRY(stream_job) link;
};

/* Copies the wishes. NULL: out of memory. */
struct stream_job *stream_job_new(const struct stream_wish *wishes, size_t n);
void stream_job_free(struct stream_job *job);

/* One of its sessions does not move; `why` is a constant sentence. */
void stream_job_fail(struct stream_job *job, uint64_t id, const char *why);

/* Tells progress now and then. True: all is done. */
bool stream_job_report(struct stream_job *job);

/* Tells what became of it, and frees it. */
void stream_job_end(struct stream_job *job);

#endif /* XSR_STREAM_JOB_H */
