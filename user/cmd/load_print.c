/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "load_print.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

static void table_line(struct load_table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void table_line(struct load_table *t, const char *format, ...)
{
	va_list args;

	fputs("\033[K", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	t->n_lines++;
}

static void moves_draw(const struct udp_load_result *r, struct load_table *t, double seconds)
{
	table_line(t,
		   "          moves %10llu  failed %llu  without state %llu  handoffs %6.0f /s  last p50 "
		   "%.1f us",
		   (unsigned long long)r->moves, (unsigned long long)r->moves_failed,
		   (unsigned long long)r->moves_without_state, (r->handoffs - t->before.handoffs) / seconds,
		   r->handoff_ns_recent / 1e3);
}

void load_table_draw(const struct udp_load_result *r, double elapsed_s, void *arg)
{
	struct load_table *t = arg;
	double seconds = elapsed_s - t->before_s;
	int i;

	if (!isatty(STDERR_FILENO) || seconds <= 0)
		return;
	if (t->n_lines)
		fprintf(stderr, "\033[%dA", t->n_lines);
	t->n_lines = 0;
	table_line(t,
		   "%6.1f s  sent %10llu  answered %10llu  under way %6llu  doubled %llu  misrouted %llu  "
		   "reordered %llu",
		   elapsed_s, (unsigned long long)r->sent, (unsigned long long)r->received,
		   (unsigned long long)(r->sent - r->received), (unsigned long long)r->duplicated,
		   (unsigned long long)r->misrouted, (unsigned long long)r->reordered);
	table_line(t, "          sockets moved %6llu  sessions moved %6llu  state lost %llu",
		   (unsigned long long)r->n_roamed, (unsigned long long)r->n_generations,
		   (unsigned long long)r->state_lost);
	if (r->moves)
		moves_draw(r, t, seconds);
	for (i = 0; i < XSR_WORKERS_MAX; i++)
		if (r->by_worker[i])
			table_line(t, "          worker %-2d  answered %10llu  %9.0f /s", i,
				   (unsigned long long)r->by_worker[i],
				   (r->by_worker[i] - t->before.by_worker[i]) / seconds);
	t->before = *r;
	t->before_s = elapsed_s;
}

/* --- the result --- */

/* Numbers as they are printed, in this order; the first five are cut out by scripts. */
static const struct load_field {
	const char *name;
	size_t offset;
	enum { COUNT, MICROSECONDS, MILLISECONDS, PER_SECOND, SECONDS } unit;
	enum { ALWAYS, IF_MOVES, IF_HANDOFFS } when;
} fields[] = {
#define FIELD(field) offsetof(struct udp_load_result, field)
	{ "sent", FIELD(sent) },
	{ "received", FIELD(received) },
	{ "lost", FIELD(lost) },
	{ "duplicated", FIELD(duplicated) },
	{ "misrouted", FIELD(misrouted) },
	{ "reordered", FIELD(reordered) },
	{ "unknown", FIELD(unknown) },
	{ "send_errors", FIELD(send_errors) },
	{ "sockets_moved", FIELD(n_roamed) },
	{ "sessions_moved", FIELD(n_generations) },
	{ "seconds", FIELD(seconds), SECONDS },
	{ "state_lost", FIELD(state_lost) },
	{ "overdue", FIELD(overdue) },
	{ "answered_per_s", FIELD(answered_per_s), PER_SECOND },
	{ "gap_max_ms", FIELD(gap_ns_max), MILLISECONDS },
	{ "gap_unmoved_max_ms", FIELD(gap_unmoved_ns_max), MILLISECONDS },
	{ "stall_max_ms", FIELD(stall_ns_max), MILLISECONDS },
	{ "moves", FIELD(moves), COUNT, IF_MOVES },
	{ "moves_done", FIELD(moves_done), COUNT, IF_MOVES },
	{ "moves_unchanged", FIELD(moves_unchanged), COUNT, IF_MOVES },
	{ "moves_failed", FIELD(moves_failed), COUNT, IF_MOVES },
	{ "moves_without_state", FIELD(moves_without_state), COUNT, IF_MOVES },
	{ "handoffs", FIELD(handoffs), COUNT, IF_MOVES },
	{ "weird", FIELD(weird), COUNT, IF_MOVES },
	{ "handoff_p50_us", FIELD(handoff_ns_p50), MICROSECONDS, IF_HANDOFFS },
	{ "handoff_p99_us", FIELD(handoff_ns_p99), MICROSECONDS, IF_HANDOFFS },
	{ "handoff_max_us", FIELD(handoff_ns_max), MICROSECONDS, IF_HANDOFFS },
#undef FIELD
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static bool field_is_there(const struct load_field *f, const struct udp_load_config *c,
			   const struct udp_load_result *r)
{
	return f->when == ALWAYS || (c->moves_rate && (f->when == IF_MOVES || r->handoffs));
}

static json_t *field_json(const struct load_field *f, const struct udp_load_result *r)
{
	const void *at = (const char *)r + f->offset;

	switch (f->unit) {
	case COUNT:
		return json_integer(*(const uint64_t *)at);
	case MICROSECONDS:
		return json_integer((*(const uint64_t *)at + 500) / 1000);
	case MILLISECONDS:
		return json_real(*(const uint64_t *)at / 1e6);
	case PER_SECOND:
		return json_integer(*(const double *)at + 0.5);
	case SECONDS:
		return json_real(*(const double *)at);
	}
	return NULL;
}

static json_t *result_json(const struct udp_load_config *c, const struct udp_load_result *r)
{
	json_t *o = json_object(), *workers = json_array();
	unsigned int i;

	for (i = 0; i < N_FIELDS; i++)
		if (field_is_there(&fields[i], c, r))
			json_object_set_new(o, fields[i].name, field_json(&fields[i], r));
	for (i = 0; i < XSR_WORKERS_MAX; i++)
		if (r->by_worker[i])
			json_array_append_new(workers, json_pack("{s:i,s:I}", "worker", i, "answered",
								 (json_int_t)r->by_worker[i]));
	json_object_set_new(o, "workers", workers);
	return o;
}

static void result_text(const struct udp_load_config *c, const struct udp_load_result *r)
{
	unsigned int i;

	for (i = 0; i < N_FIELDS; i++) {
		json_t *value;

		if (!field_is_there(&fields[i], c, r))
			continue;
		value = field_json(&fields[i], r);
		if (json_is_integer(value))
			printf("%s%s=%" JSON_INTEGER_FORMAT, i ? " " : "", fields[i].name,
			       json_integer_value(value));
		else
			printf("%s%s=%.1f", i ? " " : "", fields[i].name, json_real_value(value));
		json_decref(value);
	}
	putchar('\n');
}

int load_result_print(const struct cli *cli, const struct udp_load_config *c, const struct udp_load_result *r)
{
	if (c->moves_rate && *r->moves_why)
		cli_warn(cli, "load: moves: %s", r->moves_why);
	if (cli->json)
		return cli_json(cli, "load", result_json(c, r));
	result_text(c, r);
	return CLI_OK;
}
