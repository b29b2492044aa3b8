/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The commands of the control socket: a row at the end, and a function that checks the request and starts it. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "backend.h"
#include "conductor.h"
#include "names.h"
#include "service.h"
#include "service_spec.h"

#define MOVES_MAX 16384
#define CPU_MAX 1023

/* A request's service; 0 after an error was answered. */
static uint32_t service_read(struct control *c, struct command *cmd, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "service"));
	struct xsr_service service;
	int index;

	if (!name) {
		command_fail(cmd, "`service`: expected a name");
		return 0;
	}
	index = service_get(c->maps, name, &service);
	if (index <= 0) {
		command_fail(cmd, "no service '%.31s'", name);
		return 0;
	}
	return index;
}

/* False after an error was answered. */
static bool has_workers(const struct control *c, struct command *cmd)
{
	if (!c->handoffs)
		command_fail(cmd, "this router serves TCP services only");
	return c->handoffs;
}

static bool id_read(const json_t *value, uint64_t *id)
{
	const char *text = json_string_value(value);

	return text && number_parse(text, UINT64_MAX, id) == 0;
}

/* --- moves --- */

static json_t *report_json(const struct handoff_report *r)
{
	json_t *failures = json_array();
	size_t i;

	for (i = 0; i < r->n_failed && i < HANDOFF_FAILURES_MAX; i++) {
		char id[24];

		snprintf(id, sizeof(id), "0x%llx", (unsigned long long)r->failures[i].id);
		json_array_append_new(failures, json_pack("[s,s]", id, r->failures[i].why));
	}
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:o,s:f}", "moved", (json_int_t)r->n_moved, "along",
			 (json_int_t)r->n_along, "unchanged", (json_int_t)r->n_unchanged, "without_state", (json_int_t)r->n_without_state, "failed",
			 (json_int_t)r->n_failed, "failures", failures, "time_ms", r->time_ns / 1e6);
}

static void moves_progress(const struct handoff_report *report, void *arg)
{
	command_progress(arg, report->n_done, report->n);
}

static void moves_done(const struct handoff_report *report, void *arg)
{
	command_done(arg, report_json(report));
}

/* A worker's number, or a backend's name. */
static bool stream_target_read(struct control *c, const json_t *target, struct stream_wish *wish)
{
	const char *name = json_string_value(target);
	struct xsr_backend backend;
	json_int_t number;

	wish->to_worker = json_is_integer(target);
	if (wish->to_worker) {
		number = json_integer_value(target);
		wish->number = number;
		return number >= 0 && number < XSR_WORKERS_MAX && stream_moves_serving(c->streams) >> number & 1;
	}
	number = name ? backend_get(c->maps, name, &backend) : -ENOENT;
	wish->number = number;
	return number > 0 && c->maps->services[wish->service].backends >> number & 1;
}

/* 0, or the place of the first that is wrong + 1. */
static size_t stream_wishes_read(struct control *c, const json_t *moves, uint32_t service, struct stream_wish *wishes)
{
	const json_t *move;
	size_t i;

	json_array_foreach(moves, i, move) {
		wishes[i] = (struct stream_wish){ .service = service };
		if (json_array_size(move) != 2 || !id_read(json_array_get(move, 0), &wishes[i].id) ||
		    !stream_target_read(c, json_array_get(move, 1), &wishes[i]))
			return i + 1;
	}
	return 0;
}

/* Connections that the kernel moves live in what one worker has in maps; those without IDs have no sessions. */
static bool workers_are_fixed(const struct control *c, uint32_t service, const struct stream_wish *wishes, size_t n)
{
	size_t i;

	if (c->maps->states[service].mode == XSR_STREAM_EPOLL)
		return false;
	for (i = 0; i < n; i++)
		if (wishes[i].to_worker)
			return true;
	return false;
}

static void moves_refuse(struct command *cmd, int ret)
{
	command_fail(cmd, "%s", ret == -ESHUTDOWN ? "the router is stopping" : strerror(-ret));
}

static void stream_moves_start(struct control *c, struct command *cmd, const struct stream_wish *wishes, size_t n)
{
	int ret = stream_moves_begin(c->streams, wishes, n, moves_progress, moves_done, cmd);

	if (ret)
		moves_refuse(cmd, ret);
}

static void stream_move(struct control *c, struct command *cmd, const json_t *moves, uint32_t service)
{
	size_t n = json_array_size(moves), wrong;
	struct stream_wish *wishes = calloc(n, sizeof(*wishes));

	if (!wishes) {
		moves_refuse(cmd, -ENOMEM);
		return;
	}
	wrong = stream_wishes_read(c, moves, service, wishes);
	if (wrong)
		command_fail(cmd,
			     "`moves`, the %zu. one: expected [ID, backend], as [\"0x2a\", \"b\"], with a backend of the service, or "
			     "[ID, worker], with a worker that takes clients",
			     wrong);
	else if (workers_are_fixed(c, service, wishes, n))
		command_fail(cmd,
			     "sessions change their worker in mode epoll only, and service '%s' runs in mode %s: there a session is at "
			     "the worker where its client connects",
			     c->maps->services[service].name, stream_mode_name(c->maps->states[service].mode));
	else
		stream_moves_start(c, cmd, wishes, n);
	free(wishes);
}

/* 0, or the place of the first that is wrong + 1. */
static size_t wishes_read(const json_t *moves, uint32_t service, struct handoff_wish *wishes)
{
	const json_t *move;
	size_t i;

	json_array_foreach(moves, i, move) {
		const json_t *worker = json_array_get(move, 1);
		json_int_t number = json_integer_value(worker);

		wishes[i] = (struct handoff_wish){ .service = service, .worker = number, .from = HANDOFF_FROM_OWNER };
		if (json_array_size(move) != 2 || !id_read(json_array_get(move, 0), &wishes[i].id) ||
		    !json_is_integer(worker) || number < 0 || number >= XSR_WORKERS_MAX)
			return i + 1;
	}
	return 0;
}

static void moves_start(struct control *c, struct command *cmd, const struct handoff_wish *wishes, size_t n)
{
	int ret = handoffs_move(c->handoffs, wishes, n, moves_progress, moves_done, cmd);

	if (ret)
		moves_refuse(cmd, ret);
}

static void session_move(struct control *c, struct command *cmd, const json_t *request)
{
	const json_t *moves = json_object_get(request, "moves");
	size_t n = json_array_size(moves), wrong;
	struct handoff_wish *wishes;
	uint32_t service = service_read(c, cmd, request);

	if (!service)
		return;
	if (n == 0 || n > MOVES_MAX) {
		command_fail(cmd, "`moves`: expected 1 to %d of [ID, worker]", MOVES_MAX);
		return;
	}
	if (c->maps->services[service].proto == IPPROTO_TCP && c->streams) {
		stream_move(c, cmd, moves, service);
		return;
	}
	if (!has_workers(c, cmd))
		return;
	wishes = calloc(n, sizeof(*wishes));
	if (!wishes) {
		command_fail(cmd, "out of memory");
		return;
	}
	wrong = wishes_read(moves, service, wishes);
	if (wrong)
		command_fail(cmd, "`moves`, the %zu. one: expected [ID, worker], as [\"0x2a\", 1], with a worker from 0 to %d",
			     wrong, XSR_WORKERS_MAX - 1);
	else
		moves_start(c, cmd, wishes, n);
	free(wishes);
}

/* --- what there is --- */

struct showing {
	struct control *control;
	struct command *command;
	struct roster_wish wish;
	bool streams;		/* the gateways are asked, the workers were */
	struct roster *paused;
	json_t *rows; /* of this page; NULL = none yet */
	json_int_t n;
};

static const char *const state_names[] = {
	[SESSION_ACTIVE] = "active",
	[SESSION_HELD] = "held",
	[SESSION_RELEASING] = "releasing",
	[SESSION_LEFT] = "left",
};

static json_int_t ms_ago(uint64_t then_ns, uint64_t now_ns)
{
	return !then_ns ? -1 : then_ns < now_ns ? (json_int_t)((now_ns - then_ns) / 1000000) : 0;
}

static json_t *row_json(const struct control *c, unsigned int worker, const struct session_row *row, uint64_t now_ns)
{
	const struct xsr_backend *backend = row->backend ? &c->maps->backends[row->backend] : NULL;
	char id[24];

	snprintf(id, sizeof(id), "0x%llx", (unsigned long long)row->id);
	return json_pack("{s:s,s:s,s:i,s:s?,s:s,s:i,s:I,s:I,s:I,s:I,s:I}", "service", c->maps->services[row->service].name,
			 "id", id, "worker", worker, "backend", backend ? backend->name : NULL, "state", state_names[row->state], "generation", row->generation,
			 "held", (json_int_t)row->n_held, "messages", (json_int_t)row->n_messages, "handoffs",
			 (json_int_t)row->n_handoffs, "moved_ms_ago", ms_ago(row->moved_ns, now_ns), "heard_ms_ago",
			 ms_ago(row->last_ns, now_ns));
}

static void rows_show(unsigned int worker, const struct session_row *rows, unsigned int n, void *arg)
{
	struct showing *s = arg;
	uint64_t now_ns = control_clock_ns();
	unsigned int i;

	if (!s->rows)
		s->rows = json_array();
	for (i = 0; i < n; i++)
		json_array_append_new(s->rows, row_json(s->control, worker, &rows[i], now_ns));
	s->n += n;
}

static void page_send(struct showing *s)
{
	if (s->rows)
		command_line(s->command, json_pack("{s:o}", "sessions", s->rows));
	s->rows = NULL;
}

static void showing_resume(void *arg)
{
	struct showing *s = arg;

	roster_resume(s->paused);
	if (s->streams)
		stream_moves_resume(s->control->streams);
}

static bool page_show(struct roster *roster, void *arg)
{
	struct showing *s = arg;

	page_send(s);
	s->paused = roster;
	return !command_full(s->command, showing_resume, s);
}

/* The workers of UDP services were asked; whether the gateways of TCP services are asked now. */
static bool streams_show(struct showing *s)
{
	if (s->streams || !s->control->streams)
		return false;
	s->streams = true;
	return !stream_moves_list(s->control->streams, &s->wish);
}

static void show_done(bool incomplete, void *arg)
{
	struct showing *s = arg;

	page_send(s);
	if (!incomplete && streams_show(s))
		return;
	if (incomplete)
		command_fail(s->command, "a worker does not answer: the list is not complete");
	else
		command_done(s->command, json_pack("{s:I}", "count", s->n));
	free(s);
}

static void session_show(struct control *c, struct command *cmd, const json_t *request)
{
	const json_t *id = json_object_get(request, "id");
	struct roster_wish wish = { .rows = rows_show, .page = page_show, .done = show_done, .one = id };
	struct showing *s;

	if (id && !id_read(id, &wish.id)) {
		command_fail(cmd, "`id`: expected an ID as text, \"0x2a\"");
		return;
	}
	if (id || json_object_get(request, "service")) {
		wish.service = service_read(c, cmd, request);
		if (!wish.service)
			return;
	}
	s = wish.arg = calloc(1, sizeof(*s));
	if (!s) {
		command_fail(cmd, "out of memory");
		return;
	}
	*s = (struct showing){ .control = c, .command = cmd, .wish = wish };
	wish.workers = c->handoffs ? c->workers->serving : 0;
	if (c->handoffs ? !roster_begin(&c->rosters, &wish) : streams_show(s))
		return;
	free(s);
	command_fail(cmd, "out of memory");
}

/* --- workers --- */

static void change_done(const struct change *change, bool failed, void *arg)
{
	json_t *result;

	if (failed) {
		command_fail(arg, "%s", change->why);
		return;
	}
	result = report_json(&change->report);
	if (change->kind != CHANGE_REBALANCE)
		json_object_set_new(result, "worker", json_integer(change->worker));
	command_done(arg, result);
}

static void change_start(struct control *c, struct command *cmd, enum change_kind kind, int worker, int cpu)
{
	const struct change change = {
		.kind = kind, .worker = worker, .cpu = cpu, .progress = moves_progress, .done = change_done, .arg = cmd
	};
	int ret;

	ret = c->handoffs ? membership_change(c, &change) : stream_moves_change(c->streams, &change);
	if (ret)
		moves_refuse(cmd, ret);
}

/* A number from 0 to max under this key; -1 after an error was answered. */
static int number_read(struct command *cmd, const json_t *request, const char *key, int max)
{
	const json_t *value = json_object_get(request, key);
	json_int_t number = json_integer_value(value);

	if (json_is_integer(value) && number >= 0 && number <= max)
		return number;
	command_fail(cmd, "`%s`: expected a number from 0 to %d", key, max);
	return -1;
}

static void worker_add(struct control *c, struct command *cmd, const json_t *request)
{
	int cpu = -1;

	if (json_object_get(request, "cpu")) {
		cpu = number_read(cmd, request, "cpu", CPU_MAX);
		if (cpu < 0)
			return;
	}
	change_start(c, cmd, CHANGE_ADD, -1, cpu);
}

static void worker_leave(struct control *c, struct command *cmd, const json_t *request, enum change_kind kind)
{
	int worker = number_read(cmd, request, "worker", XSR_WORKERS_MAX - 1);

	if (worker >= 0)
		change_start(c, cmd, kind, worker, -1);
}

static void worker_drain(struct control *c, struct command *cmd, const json_t *request)
{
	worker_leave(c, cmd, request, CHANGE_DRAIN);
}

static void worker_remove(struct control *c, struct command *cmd, const json_t *request)
{
	worker_leave(c, cmd, request, CHANGE_REMOVE);
}

static void worker_rebalance(struct control *c, struct command *cmd, const json_t *request)
{
	(void)request;
	change_start(c, cmd, CHANGE_REBALANCE, -1, -1);
}

const struct command_row command_rows[] = {
	{ "session move", session_move },
	{ "session show", session_show },
	{ "worker add", worker_add },
	{ "worker drain", worker_drain },
	{ "worker remove", worker_remove },
	{ "worker rebalance", worker_rebalance },
	{},
};
