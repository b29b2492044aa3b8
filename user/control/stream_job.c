/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream_job.h"

#include <stdlib.h>
#include <string.h>

#include "conductor.h"

#define PROGRESS_NS 100000000ULL

struct stream_job *stream_job_new(const struct stream_wish *wishes, size_t n)
{
	struct stream_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->wishes = malloc(n * sizeof(*wishes));
	if (!job->wishes) {
		free(job);
		return NULL;
	}
	memcpy(job->wishes, wishes, n * sizeof(*wishes));
	job->report.n = n;
	job->begun_ns = control_clock_ns();
	return job;
}

void stream_job_free(struct stream_job *job)
{
	free(job->wishes);
	free(job);
}

void stream_job_fail(struct stream_job *job, uint64_t id, const char *why)
{
	struct handoff_report *r = &job->report;

	if (r->n_failed < HANDOFF_FAILURES_MAX) {
		r->failures[r->n_failed].id = id;
		r->failures[r->n_failed].why = why;
	}
	r->n_failed++;
	r->n_done++;
}

bool stream_job_report(struct stream_job *job)
{
	struct handoff_report *r = &job->report;

	r->time_ns = control_clock_ns() - job->begun_ns;
	if (r->n_done == r->n)
		return true;
	if (job->progress && r->time_ns - job->progress_ns > PROGRESS_NS) {
		job->progress_ns = r->time_ns;
		job->progress(r, job->arg);
	}
	return false;
}

void stream_job_end(struct stream_job *job)
{
	job->done(&job->report, job->arg);
	stream_job_free(job);
}
