/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program of one's own: a handler with state, workers and controller polled from its own loop, sessions that move. */
#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "prog.h"

#define PORT 5000
#define ID 42
#define N_WORKERS 2
#define VERSION 7
#define STATE_LEN 3000 /* over many slots of a ring */
#define TURNS_MAX 2000

/* What the handler was asked for, by worker. */
static struct record {
	unsigned int number;
	uint64_t n_messages, n_given, n_taken, sum; /* sum: the session's state */
	struct xsr_session last;
} records[N_WORKERS];
static bool refuses;

static int record_open(struct xsr_worker *worker, void **context)
{
	struct record *r = &records[xsr_worker_number(worker)];

	memset(r, 0, sizeof(*r));
	r->number = xsr_worker_number(worker);
	*context = r;
	return 0;
}

static enum xsr_verdict record_message(void *context, struct xsr_session *session, struct xsr_message *message)
{
	struct record *r = context;

	(void)message;
	assert_non_null(session);
	if (session->n_messages == 1)
		r->sum = 0;
	r->n_messages++;
	r->sum++;
	r->last = *session;
	return XSR_RELEASE;
}

static int record_give_up(void *context, struct xsr_session *session, void *state)
{
	struct record *r = context;

	assert_int_equal(session->id, ID);
	memset(state, 0x5a, STATE_LEN);
	memcpy(state, &r->sum, sizeof(r->sum));
	r->n_given++;
	return STATE_LEN;
}

static int record_take_over(void *context, struct xsr_session *session, uint16_t version, const void *state, size_t len)
{
	struct record *r = context;
	const uint8_t *bytes = state;
	size_t i;

	assert_int_equal(session->id, ID);
	assert_int_equal(version, VERSION);
	assert_int_equal(len, STATE_LEN);
	for (i = sizeof(r->sum); i < len; i++)
		assert_int_equal(bytes[i], 0x5a);
	if (refuses)
		return -EPROTO;
	memcpy(&r->sum, state, sizeof(r->sum));
	r->n_taken++;
	return 0;
}

static const struct xsr_handler handler = {
	.name = "record",
	.open = record_open,
	.message = record_message,
	.give_up = record_give_up,
	.take_over = record_take_over,
	.state_version = VERSION,
	.state_len_max = STATE_LEN,
};

/* The program's loop: everybody has a turn. */
static void turn(struct prog *prog, struct xsr_control *control)
{
	unsigned int i;

	for (i = 0; i < N_WORKERS; i++)
		assert_true(xsr_worker_poll(xsr_router_worker(prog->router, i), 0) >= 0);
	assert_int_equal(xsr_control_poll(control, 1), 0);
}

static int client_open(void)
{
	const struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = "/run/xsr/" PROG_INSTANCE ".sock" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* The last line of the answer. */
static json_t *ask(struct prog *prog, struct xsr_control *control, const char *request)
{
	char answer[4096] = "";
	size_t len = 0;
	int i, fd = client_open();
	json_t *json;

	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	for (i = 0; i < TURNS_MAX && !strchr(answer, '\n'); i++) {
		ssize_t n;

		turn(prog, control);
		n = read(fd, answer + len, sizeof(answer) - 1 - len);
		if (n > 0)
			len += n;
	}
	close(fd);
	json = json_loads(answer, 0, NULL);
	assert_non_null(json);
	return json;
}

static json_int_t number(const json_t *json, const char *object, const char *key)
{
	return json_integer_value(json_object_get(json_object_get(json, object), key));
}

static void packet_deliver(struct prog *prog)
{
	__be64 payload = htobe64(ID);
	struct packet p = {};
	struct xdp_md in = { .ingress_ifindex = PROG_IFINDEX };

	packet_make_udp4(&p, PORT, &payload, sizeof(payload));
	in.data_end = p.len;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p.data, .data_size_in = p.len, .ctx_in = &in,
		    .ctx_size_in = sizeof(in), .repeat = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	assert_int_equal(bpf_prog_test_run_opts(prog->fd, &opts), 0);
}

static struct xsr_control *control_start(struct prog *prog)
{
	struct prog_service game = prog_service_add(prog, &(struct service_spec){ .name = "game",
										   .address = "0.0.0.0:5000",
										   .id = "offset:0:8",
										   .default_action = "drop",
										   .stamp = "on" });
	struct xsr_control *control = NULL;
	char why[XSR_WHY_LEN] = "";

	refuses = false;
	prog->router = prog_router_open(N_WORKERS, &handler);
	assert_non_null(prog->router);
	assert_int_equal(xsr_router_publish(prog->router), 0);
	prog_route(prog, &game, ID, XSR_ACTION_WORKER, 0);
	if (xsr_control_open(&control, prog->router, why))
		print_error("cannot open the controller: %s\n", why);
	assert_non_null(control);
	return control;
}

static void deliver(struct prog *prog, struct xsr_control *control, unsigned int n)
{
	while (n--)
		packet_deliver(prog);
	turn(prog, control);
}

#define MOVE(worker) "{\"command\":\"session move\",\"service\":\"game\",\"moves\":[[\"42\"," #worker "]]}\n"

static void session_moves_there_and_back_with_its_state(void **state)
{
	struct prog *prog = *state;
	struct xsr_control *control = control_start(prog);
	json_t *json;

	deliver(prog, control, 5);
	assert_int_equal(records[0].sum, 5);
	json = ask(prog, control, MOVE(1));
	assert_int_equal(number(json, "result", "moved"), 1);
	assert_int_equal(number(json, "result", "without_state"), 0);
	json_decref(json);
	deliver(prog, control, 3);
	assert_int_equal(records[0].n_messages, 5);
	assert_int_equal(records[1].n_messages, 3);
	assert_int_equal(records[1].sum, 8);
	assert_int_equal(records[1].last.n_messages, 8);
	assert_int_equal(records[1].last.n_handoffs, 1);
	assert_int_equal(records[1].last.generation, 2);
	assert_int_not_equal(records[1].last.moved_ns, 0);
	json_decref(ask(prog, control, MOVE(0)));
	deliver(prog, control, 1);
	assert_int_equal(records[0].sum, 9);
	assert_int_equal(records[0].last.n_handoffs, 2);
	assert_int_equal(records[0].last.generation, 3);
	xsr_control_close(control);
}

/* All are in the old owner's ring when the route changes. */
static void messages_that_had_arrived_are_served_before_the_session_moves(void **state)
{
	struct prog *prog = *state;
	struct xsr_control *control = control_start(prog);
	unsigned int i;

	for (i = 0; i < 20; i++)
		packet_deliver(prog);
	json_decref(ask(prog, control, MOVE(1)));
	assert_int_equal(records[0].n_messages, 20);
	deliver(prog, control, 1);
	assert_int_equal(records[1].sum, 21);
	xsr_control_close(control);
}

static void state_that_is_refused_is_told_and_the_session_goes_on(void **state)
{
	struct prog *prog = *state;
	struct xsr_control *control = control_start(prog);
	json_t *json;

	deliver(prog, control, 5);
	refuses = true;
	json = ask(prog, control, MOVE(1));
	assert_int_equal(number(json, "result", "moved"), 1);
	assert_int_equal(number(json, "result", "without_state"), 1);
	json_decref(json);
	deliver(prog, control, 1);
	assert_int_equal(records[1].sum, 1);
	assert_int_equal(prog->maps->workers[1].n[XSR_WORKER_STAT_STATE_REFUSED], 1);
	xsr_control_close(control);
}

static void session_is_shown_where_it_is(void **state)
{
	struct prog *prog = *state;
	struct xsr_control *control = control_start(prog);
	const json_t *row;
	json_t *json;

	deliver(prog, control, 5);
	json = ask(prog, control, "{\"command\":\"session show\",\"service\":\"game\",\"id\":\"0x2a\"}\n");
	row = json_array_get(json_object_get(json, "sessions"), 0);
	assert_string_equal(json_string_value(json_object_get(row, "state")), "active");
	assert_int_equal(json_integer_value(json_object_get(row, "worker")), 0);
	assert_int_equal(json_integer_value(json_object_get(row, "messages")), 5);
	json_decref(json);
	xsr_control_close(control);
}

/* Its thread is the program's: it cannot be ended from here. */
static void worker_of_the_programs_own_thread_is_drained_and_not_removed(void **state)
{
	struct prog *prog = *state;
	struct xsr_control *control = control_start(prog);
	json_t *json;

	deliver(prog, control, 5);
	json = ask(prog, control, "{\"command\":\"worker remove\",\"worker\":0}\n");
	assert_non_null(json_object_get(json, "error"));
	json_decref(json);
	json = ask(prog, control, "{\"command\":\"worker drain\",\"worker\":0}\n");
	assert_int_equal(number(json, "result", "moved"), 1);
	json_decref(json);
	deliver(prog, control, 1);
	assert_int_equal(records[1].sum, 6);
	xsr_control_close(control);
}

static void second_controller_is_refused(void **state)
{
	struct prog *prog = *state;
	struct xsr_control *control = control_start(prog), *other = NULL;
	char why[XSR_WHY_LEN] = "";

	assert_int_equal(xsr_control_open(&other, prog->router, why), -EADDRINUSE);
	assert_string_not_equal(why, "");
	xsr_control_close(control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(session_moves_there_and_back_with_its_state),
		prog_test(messages_that_had_arrived_are_served_before_the_session_moves),
		prog_test(state_that_is_refused_is_told_and_the_session_goes_on),
		prog_test(session_is_shown_where_it_is),
		prog_test(worker_of_the_programs_own_thread_is_drained_and_not_removed),
		prog_test(second_controller_is_refused),
	};

	return prog_run_tests(tests);
}
