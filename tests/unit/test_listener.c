/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The control socket: real sockets in a folder of the test's own, the event loop run step by step, made-up commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "control/command.h"
#include "control/listener.h"

#define SLOW_MAX 64
#define LINE_MAX_LEN (5 << 20)
#define STEPS_MAX 20000

/* --- the commands --- */

/* What they are handed. */
struct control {
	struct command *slow[SLOW_MAX]; /* under way until slow_end() */
	unsigned int n_slow;
	unsigned int n_floods_done, n_pauses;
};

struct flood {
	struct control *control;
	struct command *command;
	int n, pauses;
};

static void echo_start(struct control *control, struct command *command, const json_t *request)
{
	(void)control;
	command_done(command, json_pack("{s:O}", "text", json_object_get(request, "text")));
}

static void slow_start(struct control *control, struct command *command, const json_t *request)
{
	(void)request;
	assert_true(control->n_slow < SLOW_MAX);
	control->slow[control->n_slow++] = command;
}

static void slow_end(struct control *control, unsigned int i, int result)
{
	command_done(control->slow[i], json_integer(result));
}

static void wrong_start(struct control *control, struct command *command, const json_t *request)
{
	(void)control;
	command_fail(command, "service '%s' is not there", json_string_value(json_object_get(request, "service")));
}

static void binary_start(struct control *control, struct command *command, const json_t *request)
{
	(void)control;
	(void)request;
	command_fail(command, "it is called \xff\xc3");
}

static void progress_start(struct control *control, struct command *command, const json_t *request)
{
	(void)control;
	(void)request;
	command_progress(command, 1, 2);
	command_line(command, json_pack("{s:[i,i]}", "sessions", 1, 2));
	command_done(command, NULL);
}

static void flood_line(struct flood *flood)
{
	char text[1024];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	command_line(flood->command, json_pack("{s:i,s:s}", "n", flood->n--, "text", text));
}

static void flood_go_on(void *arg)
{
	struct flood *flood = arg;

	while (flood->n) {
		if (flood->pauses && command_full(flood->command, flood_go_on, flood)) {
			flood->control->n_pauses++;
			return;
		}
		flood_line(flood);
	}
	flood->control->n_floods_done++;
	command_done(flood->command, NULL);
	free(flood);
}

/* As many lines of 1 KiB as asked for; "pauses": 0 takes no notice of who reads. */
static void flood_start(struct control *control, struct command *command, const json_t *request)
{
	struct flood *flood = calloc(1, sizeof(*flood));

	flood->control = control;
	flood->command = command;
	flood->n = json_integer_value(json_object_get(request, "lines"));
	flood->pauses = json_integer_value(json_object_get(request, "pauses"));
	flood_go_on(flood);
}

static const struct command_row rows[] = {
	{ "echo", echo_start },	      { "slow", slow_start },	{ "wrong", wrong_start }, { "binary", binary_start },
	{ "progress", progress_start }, { "flood", flood_start }, {},
};

/* --- a router, and its clients --- */

struct router {
	char folder[64], path[108];
	sd_event *event;
	struct listener *listener;
	struct control control;
};

/* A client's end, and what it has read of a line. */
struct end {
	int fd;
	char *text;
	size_t len;
};

static int router_setup(void **state)
{
	struct router *r = calloc(1, sizeof(*r));
	char why[LISTENER_WHY_LEN];

	strcpy(r->folder, "/tmp/test_listener.XXXXXX");
	if (!mkdtemp(r->folder) || sd_event_new(&r->event) < 0)
		return -1;
	snprintf(r->path, sizeof(r->path), "%s/xsr/game.sock", r->folder);
	*state = r;
	return listener_open(&r->listener, r->event, r->path, rows, &r->control, why);
}

static int router_teardown(void **state)
{
	struct router *r = *state;
	char folder[108];

	listener_close(r->listener);
	sd_event_unref(r->event);
	unlink(r->path);
	snprintf(folder, sizeof(folder), "%s/xsr", r->folder);
	rmdir(folder);
	if (rmdir(r->folder))
		return -1;
	free(r);
	return 0;
}

/* All that is there to be done now. */
static void router_run(struct router *r)
{
	int i;

	for (i = 0; i < STEPS_MAX && sd_event_run(r->event, 0) > 0; i++)
		;
	assert_true(i < STEPS_MAX);
}

static int path_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(address.sun_path, path);
	if (!connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return fd;
	close(fd);
	return -errno;
}

static struct end end_open(struct router *r)
{
	struct end end = { .fd = path_connect(r->path), .text = malloc(LINE_MAX_LEN) };

	assert_true(end.fd >= 0);
	router_run(r);
	return end;
}

static void end_close(struct end *end)
{
	if (end->fd >= 0)
		close(end->fd);
	free(end->text);
}

/* Bytes, however many; the router reads in between. */
static void say_bytes(struct router *r, struct end *end, const char *bytes, size_t len)
{
	size_t at = 0;
	int i;

	for (i = 0; at < len && i < STEPS_MAX; i++) {
		ssize_t n = send(end->fd, bytes + at, len - at, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			break; /* it hung up on us */
		at += n > 0 ? n : 0;
		router_run(r);
	}
	router_run(r);
}

static void say(struct router *r, struct end *end, const char *text)
{
	say_bytes(r, end, text, strlen(text));
}

static char *end_newline(const struct end *end)
{
	return end->len ? memchr(end->text, '\n', end->len) : NULL;
}

/* Reads what is there: true until the other end closed. */
static bool end_read(struct end *end)
{
	ssize_t n = recv(end->fd, end->text + end->len, LINE_MAX_LEN - end->len, 0);

	if (n > 0)
		end->len += n;
	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* The next line; NULL if there is none. A new reference. */
static json_t *answer(struct router *r, struct end *end)
{
	json_t *json;
	char *newline;

	router_run(r);
	while (!(newline = end_newline(end)) && recv(end->fd, &(char){ 0 }, 1, MSG_PEEK) > 0) {
		end_read(end);
		router_run(r);
	}
	if (!newline)
		return NULL;
	json = json_loadb(end->text, newline - end->text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	end->len -= newline + 1 - end->text;
	memmove(end->text, newline + 1, end->len);
	return json;
}

static void answer_is(struct router *r, struct end *end, const char *expected)
{
	json_t *json = answer(r, end);
	char *text = json ? json_dumps(json, JSON_COMPACT) : strdup("no answer");

	assert_string_equal(text, expected);
	free(text);
	json_decref(json);
}

/* The next line is an error which has these words. */
static void error_has(struct router *r, struct end *end, const char *words)
{
	json_t *json = answer(r, end);
	const char *error = json_string_value(json_object_get(json, "error"));

	assert_non_null(error);
	assert_non_null(strstr(error, words));
	json_decref(json);
}

static void nothing_to_read(struct router *r, struct end *end)
{
	router_run(r);
	assert_int_equal(end->len, 0);
	assert_int_equal(recv(end->fd, &(char){ 0 }, 1, MSG_PEEK), -1);
	assert_int_equal(errno, EAGAIN);
}

/* The other end closed; what it sent before is dropped. */
static bool is_closed(struct router *r, struct end *end)
{
	router_run(r);
	do {
		end->len = 0;
		if (!end_read(end))
			return true;
	} while (end->len);
	return false;
}

/* --- requests and answers --- */

#define ECHO_A "{\"command\":\"echo\",\"text\":\"a\"}\n"
#define ECHO_B "{\"command\":\"echo\",\"text\":\"b\"}\n"
#define SLOW "{\"command\":\"slow\"}\n"
#define DONE(text) "{\"schema\":\"xsr/1\",\"done\":true,\"result\":" text "}"

static void a_request_is_answered(void **state)
{
	struct end end = end_open(*state);

	say(*state, &end, ECHO_A);
	answer_is(*state, &end, DONE("{\"text\":\"a\"}"));
	nothing_to_read(*state, &end);
	end_close(&end);
}

static void a_line_in_many_pieces_is_one_request(void **state)
{
	struct end end = end_open(*state);
	const char *c;

	for (c = ECHO_A; *c; c++) {
		nothing_to_read(*state, &end);
		say_bytes(*state, &end, c, 1);
	}
	answer_is(*state, &end, DONE("{\"text\":\"a\"}"));
	end_close(&end);
}

static void two_requests_in_one_write_are_two(void **state)
{
	struct end end = end_open(*state);

	say(*state, &end, ECHO_A ECHO_B "{\"command\":\"echo\"");
	answer_is(*state, &end, DONE("{\"text\":\"a\"}"));
	answer_is(*state, &end, DONE("{\"text\":\"b\"}"));
	nothing_to_read(*state, &end);
	say(*state, &end, ",\"text\":7}\n");
	answer_is(*state, &end, DONE("{\"text\":7}"));
	end_close(&end);
}

static void a_tag_comes_back_in_every_line(void **state)
{
	struct end end = end_open(*state);

	say(*state, &end, "{\"command\":\"progress\",\"tag\":-9223372036854775808}\n");
#define TAGGED "{\"schema\":\"xsr/1\",\"tag\":-9223372036854775808,"
	answer_is(*state, &end, TAGGED "\"progress\":{\"done\":1,\"of\":2}}");
	answer_is(*state, &end, TAGGED "\"sessions\":[1,2]}");
	answer_is(*state, &end, TAGGED "\"done\":true,\"result\":null}");
	say(*state, &end, "{\"command\":\"wrong\",\"service\":\"game\",\"tag\":0}\n");
	answer_is(*state, &end, "{\"schema\":\"xsr/1\",\"tag\":0,\"error\":\"service 'game' is not there\"}");
	end_close(&end);
}

static void a_tag_that_is_no_integer_is_refused(void **state)
{
	static const char *const tags[] = { "\"7\"", "7.0", "null", "true", "[]", "{}" };
	struct end end = end_open(*state);
	char line[128];
	unsigned int i;

	for (i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		snprintf(line, sizeof(line), "{\"command\":\"echo\",\"text\":1,\"tag\":%s}\n", tags[i]);
		say(*state, &end, line);
		answer_is(*state, &end, "{\"schema\":\"xsr/1\",\"error\":\"'tag': expected an integer\"}");
	}
	end_close(&end);
}

static void answers_come_as_they_are_ready(void **state)
{
	struct router *r = *state;
	struct end end = end_open(r);

	say(r, &end, "{\"command\":\"slow\",\"tag\":1}\n{\"command\":\"slow\",\"tag\":2}\n");
	say(r, &end, ECHO_A);
	answer_is(r, &end, DONE("{\"text\":\"a\"}"));
	slow_end(&r->control, 1, 20);
	answer_is(r, &end, "{\"schema\":\"xsr/1\",\"tag\":2,\"done\":true,\"result\":20}");
	slow_end(&r->control, 0, 10);
	answer_is(r, &end, "{\"schema\":\"xsr/1\",\"tag\":1,\"done\":true,\"result\":10}");
	end_close(&end);
}

static void two_clients_have_their_own_answers(void **state)
{
	struct router *r = *state;
	struct end a = end_open(r), b = end_open(r);

	say(r, &a, SLOW);
	say(r, &b, SLOW);
	slow_end(&r->control, 1, 2);
	nothing_to_read(r, &a);
	answer_is(r, &b, DONE("2"));
	slow_end(&r->control, 0, 1);
	answer_is(r, &a, DONE("1"));
	nothing_to_read(r, &b);
	end_close(&a);
	end_close(&b);
}

static void what_is_wrong_is_one_sentence_and_the_connection_stays(void **state)
{
	struct end end = end_open(*state);

	say(*state, &end, "{\"command\":\"fly away\"}\n");
	answer_is(*state, &end, "{\"schema\":\"xsr/1\",\"error\":\"unknown command 'fly away'\"}");
	say(*state, &end, "{}\n");
	error_has(*state, &end, "no 'command'");
	say(*state, &end, "{\"command\":7}\n");
	error_has(*state, &end, "no 'command'");
	say(*state, &end, "{\"command\":\"wrong\",\"service\":\"game\"}\n");
	answer_is(*state, &end, "{\"schema\":\"xsr/1\",\"error\":\"service 'game' is not there\"}");
	say(*state, &end, ECHO_A);
	answer_is(*state, &end, DONE("{\"text\":\"a\"}"));
	end_close(&end);
}

static void a_sentence_that_is_no_utf8_is_sent_all_the_same(void **state)
{
	struct end end = end_open(*state);
	char line[256] = "{\"command\":\"x", *c = line + strlen(line);
	int i;

	say(*state, &end, "{\"command\":\"binary\"}\n");
	error_has(*state, &end, "it is called ??");
	for (i = 0; i < 40; i++) /* two bytes each: the 64th is half of one */
		c = stpcpy(c, "\xc3\xa4");
	strcpy(c, "\"}\n");
	say(*state, &end, line);
	error_has(*state, &end, "unknown command 'x??");
	end_close(&end);
}

static void what_is_no_object_ends_the_connection(void **state)
{
	static const char *const lines[] = {
		"\n", "7\n", "[]\n", "\"echo\"\n", "null\n", "hello\n", "{\"command\":\"echo\"\n", "{}{}\n",
		"{\"command\":\"echo\",\"command\":\"slow\"}\n", "{\"command\":\"\\u0000\"}\n",
		"{\"command\":\"\xff\xfe\"}\n", "{\"tag\":9223372036854775808}\n", "\x01\x02\x03\x80\n",
	};
	unsigned int i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct end end = end_open(*state);

		say(*state, &end, lines[i]);
		error_has(*state, &end, "a request is a JSON object on one line");
		assert_true(is_closed(*state, &end));
		end_close(&end);
	}
}

static void zero_bytes_are_no_request(void **state)
{
	struct end end = end_open(*state);

	say_bytes(*state, &end, "{}\0{}\n", 6);
	error_has(*state, &end, "a request is a JSON object");
	assert_true(is_closed(*state, &end));
	end_close(&end);
}

static void deep_nesting_is_refused(void **state)
{
	struct end end = end_open(*state);
	size_t len = 1 << 20;
	char *line = malloc(len);

	memset(line, '[', len);
	memcpy(line, "{\"a\":", 5);
	line[len - 1] = '\n';
	say_bytes(*state, &end, line, len);
	error_has(*state, &end, "a request is a JSON object");
	assert_true(is_closed(*state, &end));
	free(line);
	end_close(&end);
}

/* What follows a bad line is not looked at, and what is under way loses its client. */
static void after_a_bad_line_nothing_is_begun(void **state)
{
	struct router *r = *state;
	struct end end = end_open(r);

	say(r, &end, SLOW "nonsense\n" SLOW);
	error_has(r, &end, "a request is a JSON object");
	assert_true(is_closed(r, &end));
	assert_int_equal(r->control.n_slow, 1);
	slow_end(&r->control, 0, 1);
	end_close(&end);
}

/* --- bounds --- */

/* A line of len bytes with its newline, whose text is as long as it must be. */
static char *long_line(size_t len)
{
	static const char before[] = "{\"command\":\"echo\",\"text\":\"", behind[] = "\"}\n";
	char *line = malloc(len);

	memset(line, 'x', len);
	memcpy(line, before, sizeof(before) - 1);
	memcpy(line + len - (sizeof(behind) - 1), behind, sizeof(behind) - 1);
	return line;
}

static void a_line_of_1_mib_is_taken(void **state)
{
	struct end end = end_open(*state);
	size_t len = (1 << 20) + 1;
	char *line = long_line(len);
	json_t *json;

	say_bytes(*state, &end, line, len);
	json = answer(*state, &end);
	assert_int_equal(json_string_length(json_object_get(json_object_get(json, "result"), "text")),
			 len - strlen("{\"command\":\"echo\",\"text\":\"\"}\n"));
	json_decref(json);
	say(*state, &end, ECHO_A);
	answer_is(*state, &end, DONE("{\"text\":\"a\"}"));
	free(line);
	end_close(&end);
}

static void a_longer_line_ends_the_connection(void **state)
{
	struct end end = end_open(*state);
	size_t len = (1 << 20) + 2;
	char *line = long_line(len);

	say_bytes(*state, &end, line, len);
	error_has(*state, &end, "a line of at most 1 MiB");
	assert_true(is_closed(*state, &end));
	free(line);
	end_close(&end);
}

static void a_line_without_end_is_not_waited_for(void **state)
{
	struct end end = end_open(*state);
	size_t len = 16 << 20;
	char *line = malloc(len);

	memset(line, ' ', len);
	say_bytes(*state, &end, line, len);
	error_has(*state, &end, "a line of at most 1 MiB");
	assert_true(is_closed(*state, &end));
	free(line);
	end_close(&end);
}

static void a_client_that_does_not_read_is_disconnected_at_4_mib(void **state)
{
	struct router *r = *state;
	struct end end = end_open(r), other = end_open(r);

	say(r, &end, "{\"command\":\"flood\",\"lines\":3500,\"pauses\":0}\n");
	say(r, &end, ECHO_A);
	assert_false(is_closed(r, &end)); /* this has read all of it */
	say(r, &end, SLOW "{\"command\":\"flood\",\"lines\":6000,\"pauses\":0}\n");
	assert_int_equal(r->control.n_floods_done, 2);
	say(r, &other, ECHO_A);
	answer_is(r, &other, DONE("{\"text\":\"a\"}"));
	assert_true(is_closed(r, &end));
	slow_end(&r->control, 0, 1);
	end_close(&end);
	end_close(&other);
}

static void a_command_pauses_while_its_client_does_not_read(void **state)
{
	struct router *r = *state;
	struct end end = end_open(r);
	json_t *json;
	int n;

	say(r, &end, "{\"command\":\"flood\",\"lines\":3000,\"pauses\":1}\n");
	assert_int_equal(r->control.n_floods_done, 0);
	assert_int_equal(r->control.n_pauses, 1);
	for (n = 3000; n; n--) {
		json = answer(r, &end);
		assert_int_equal(json_integer_value(json_object_get(json, "n")), n);
		json_decref(json);
	}
	answer_is(r, &end, DONE("null"));
	assert_int_equal(r->control.n_floods_done, 1);
	assert_true(r->control.n_pauses > 5);
	end_close(&end);
}

/* None of three waits until another has ended. */
static void commands_that_pause_take_turns(void **state)
{
	struct router *r = *state;
	struct end end = end_open(r);
	int tag, n_done = 0, last[4] = { 0, 3000, 3000, 3000 };

	for (tag = 1; tag <= 3; tag++) {
		char line[128];

		snprintf(line, sizeof(line), "{\"command\":\"flood\",\"lines\":3000,\"pauses\":1,\"tag\":%d}\n", tag);
		say(r, &end, line);
	}
	while (n_done < 3) {
		json_t *json = answer(r, &end);

		tag = json_integer_value(json_object_get(json, "tag"));
		if (json_object_get(json, "done") && n_done++ == 0)
			assert_true(last[1] < 1000 && last[2] < 1000 && last[3] < 1000);
		last[tag] = json_integer_value(json_object_get(json, "n"));
		json_decref(json);
	}
	end_close(&end);
}

static void the_33rd_connection_is_turned_away(void **state)
{
	struct router *r = *state;
	struct end ends[32], more;
	int i;

	for (i = 0; i < 32; i++)
		ends[i] = end_open(r);
	more = end_open(r);
	error_has(r, &more, "there are 32 connections already");
	assert_true(is_closed(r, &more));
	end_close(&more);
	say(r, &ends[31], ECHO_A);
	answer_is(r, &ends[31], DONE("{\"text\":\"a\"}"));
	end_close(&ends[7]);
	ends[7] = end_open(r);
	say(r, &ends[7], ECHO_B);
	answer_is(r, &ends[7], DONE("{\"text\":\"b\"}"));
	for (i = 0; i < 32; i++)
		end_close(&ends[i]);
}

static void the_17th_request_is_refused(void **state)
{
	struct router *r = *state;
	struct end end = end_open(r), other = end_open(r);
	int i;

	for (i = 0; i < 16; i++)
		say(r, &end, SLOW);
	nothing_to_read(r, &end);
	say(r, &end, "{\"command\":\"slow\",\"tag\":17}\n");
	answer_is(r, &end,
		  "{\"schema\":\"xsr/1\",\"tag\":17,\"error\":\"16 requests are under way on this connection; wait for one "
		  "of them\"}");
	say(r, &other, SLOW);
	assert_int_equal(r->control.n_slow, 17);
	slow_end(&r->control, 5, 5);
	answer_is(r, &end, DONE("5"));
	say(r, &end, SLOW);
	nothing_to_read(r, &end);
	assert_int_equal(r->control.n_slow, 18);
	for (i = 0; i < 18; i++)
		if (i != 5)
			slow_end(&r->control, i, i);
	end_close(&end);
	end_close(&other);
}

/* --- clients that go --- */

static void a_client_that_goes_does_not_stop_its_command(void **state)
{
	struct router *r = *state;
	struct end end = end_open(r), other = end_open(r);

	say(r, &end, SLOW SLOW);
	end_close(&end);
	router_run(r);
	assert_int_equal(r->control.n_slow, 2);
	command_progress(r->control.slow[0], 1, 2);
	command_line(r->control.slow[0], json_object());
	assert_false(command_full(r->control.slow[0], flood_go_on, NULL));
	slow_end(&r->control, 0, 1);
	command_fail(r->control.slow[1], "nobody hears it");
	say(r, &other, ECHO_A);
	answer_is(r, &other, DONE("{\"text\":\"a\"}"));
	end_close(&other);
}

static void a_request_of_a_client_that_went_at_once_is_begun(void **state)
{
	struct router *r = *state;
	int fd = path_connect(r->path);

	assert_int_equal(write(fd, SLOW SLOW, strlen(SLOW SLOW)), strlen(SLOW SLOW));
	close(fd);
	router_run(r);
	assert_int_equal(r->control.n_slow, 2);
	slow_end(&r->control, 0, 1);
	slow_end(&r->control, 1, 1);
	router_run(r);
}

static void a_client_that_goes_lets_its_paused_commands_go_on(void **state)
{
	struct router *r = *state;
	struct end end = end_open(r);

	say(r, &end, "{\"command\":\"flood\",\"lines\":3000,\"pauses\":1}\n{\"command\":\"flood\",\"lines\":9,\"pauses\":1}\n");
	assert_int_equal(r->control.n_floods_done, 0);
	end_close(&end);
	router_run(r);
	assert_int_equal(r->control.n_floods_done, 2);
}

/* printf ... | socat - UNIX:...: the answer comes after the end of what is asked. */
static void a_client_that_ended_its_writing_gets_its_answers(void **state)
{
	struct router *r = *state;
	struct end end = end_open(r);

	say(r, &end, SLOW ECHO_A "{\"command\":\"slow\"}");
	shutdown(end.fd, SHUT_WR);
	answer_is(r, &end, DONE("{\"text\":\"a\"}"));
	nothing_to_read(r, &end);
	assert_int_equal(r->control.n_slow, 1);
	slow_end(&r->control, 0, 1);
	answer_is(r, &end, DONE("1"));
	assert_true(is_closed(r, &end));
	end_close(&end);
}

static void an_idle_client_that_ended_its_writing_is_closed(void **state)
{
	struct end end = end_open(*state);

	shutdown(end.fd, SHUT_WR);
	assert_true(is_closed(*state, &end));
	end_close(&end);
}

/* --- the socket --- */

static void only_its_owner_can_use_it(void **state)
{
	struct router *r = *state;
	char folder[108];
	struct stat st;

	assert_int_equal(stat(r->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	snprintf(folder, sizeof(folder), "%s/xsr", r->folder);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

/* A socket that was bound and is not there any more. */
static void socket_leave(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	close(fd);
	assert_int_equal(access(path, F_OK), 0);
}

static void what_a_dead_process_left_is_replaced(void **state)
{
	struct router *r = *state;
	char why[LISTENER_WHY_LEN] = "";
	struct end end;

	listener_close(r->listener);
	r->listener = NULL;
	socket_leave(r->path);
	assert_int_equal(listener_open(&r->listener, r->event, r->path, rows, &r->control, why), 0);
	end = end_open(r);
	say(r, &end, ECHO_A);
	answer_is(r, &end, DONE("{\"text\":\"a\"}"));
	end_close(&end);
	only_its_owner_can_use_it(state);
}

static void a_living_router_is_not_replaced(void **state)
{
	char why[LISTENER_WHY_LEN] = "", expected[LISTENER_WHY_LEN];
	struct listener *second = NULL;
	struct router *r = *state;
	struct end end;

	assert_int_equal(listener_open(&second, r->event, r->path, rows, &r->control, why), -EADDRINUSE);
	assert_null(second);
	snprintf(expected, sizeof(expected), "'%s' is served by another router; stop it first", r->path);
	assert_string_equal(why, expected);
	end = end_open(r);
	say(r, &end, ECHO_A);
	answer_is(r, &end, DONE("{\"text\":\"a\"}"));
	end_close(&end);
}

static void a_busy_router_is_a_living_one(void **state)
{
	char why[LISTENER_WHY_LEN] = "";
	struct listener *second = NULL;
	struct router *r = *state;
	int fds[64], n = 0;

	while (n < 64 && (fds[n] = path_connect(r->path)) >= 0)
		n++;
	assert_true(n < 64);
	assert_int_equal(listener_open(&second, r->event, r->path, rows, &r->control, why), -EADDRINUSE);
	while (n--)
		close(fds[n]);
	router_run(r);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
	char why[LISTENER_WHY_LEN] = "";
	struct listener *second = NULL;
	struct router *r = *state;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/notes", r->folder);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(listener_open(&second, r->event, path, rows, &r->control, why), -EEXIST);
	assert_non_null(strstr(why, "/notes' is no socket; remove it first"));
	assert_int_equal(unlink(path), 0);
}

static void a_path_that_cannot_be_is_said_so(void **state)
{
	char why[LISTENER_WHY_LEN] = "", path[200];
	struct listener *second = NULL;
	struct router *r = *state;

	snprintf(path, sizeof(path), "%s/%0100d.sock", r->folder, 0);
	assert_int_equal(listener_open(&second, r->event, path, rows, &r->control, why), -ENAMETOOLONG);
	assert_non_null(strstr(why, "File name too long"));
	snprintf(path, sizeof(path), "%s/a/b/c.sock", r->folder);
	assert_int_equal(listener_open(&second, r->event, path, rows, &r->control, why), -ENOENT);
	assert_non_null(strstr(why, path));
	assert_int_equal(listener_open(&second, r->event, "game.sock", rows, &r->control, why), -EINVAL);
	assert_null(second);
}

static void a_stopped_listener_answers_what_is_under_way_and_takes_no_more(void **state)
{
	struct router *r = *state;
	struct end busy = end_open(r), idle = end_open(r);

	say(r, &busy, SLOW);
	listener_stop(r->listener);
	listener_stop(r->listener);
	assert_int_equal(path_connect(r->path), -ENOENT);
	assert_true(is_closed(r, &idle));
	say(r, &busy, SLOW);
	nothing_to_read(r, &busy);
	assert_int_equal(r->control.n_slow, 1);
	slow_end(&r->control, 0, 1);
	answer_is(r, &busy, DONE("1"));
	assert_true(is_closed(r, &busy));
	end_close(&busy);
	end_close(&idle);
}

static void a_closed_listener_leaves_nothing_behind(void **state)
{
	struct router *r = *state;
	struct end end = end_open(r);

	say(r, &end, SLOW SLOW "{\"command\":\"flood\",\"lines\":9000,\"pauses\":1}\n");
	slow_end(&r->control, 1, 2);
	listener_close(r->listener);
	r->listener = NULL;
	assert_int_equal(r->control.n_floods_done, 1);
	assert_int_equal(access(r->path, F_OK), -1);
	assert_true(is_closed(r, &end));
	slow_end(&r->control, 0, 1);
	end_close(&end);
}

/* Answers that come right before the end are not lost. */
static void closing_sends_the_last_answers(void **state)
{
	struct router *r = *state;
	struct end end = end_open(r);

	say(r, &end, SLOW);
	listener_stop(r->listener);
	slow_end(&r->control, 0, 1);
	listener_close(r->listener);
	r->listener = NULL;
	answer_is(r, &end, DONE("1"));
	end_close(&end);
}

static void closing_no_listener_does_nothing(void **state)
{
	(void)state;
	listener_close(NULL);
}

#define with_router(test) cmocka_unit_test_setup_teardown(test, router_setup, router_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_router(a_request_is_answered),
		with_router(a_line_in_many_pieces_is_one_request),
		with_router(two_requests_in_one_write_are_two),
		with_router(a_tag_comes_back_in_every_line),
		with_router(a_tag_that_is_no_integer_is_refused),
		with_router(answers_come_as_they_are_ready),
		with_router(two_clients_have_their_own_answers),
		with_router(what_is_wrong_is_one_sentence_and_the_connection_stays),
		with_router(a_sentence_that_is_no_utf8_is_sent_all_the_same),
		with_router(what_is_no_object_ends_the_connection),
		with_router(zero_bytes_are_no_request),
		with_router(deep_nesting_is_refused),
		with_router(after_a_bad_line_nothing_is_begun),
		with_router(a_line_of_1_mib_is_taken),
		with_router(a_longer_line_ends_the_connection),
		with_router(a_line_without_end_is_not_waited_for),
		with_router(a_client_that_does_not_read_is_disconnected_at_4_mib),
		with_router(a_command_pauses_while_its_client_does_not_read),
		with_router(commands_that_pause_take_turns),
		with_router(the_33rd_connection_is_turned_away),
		with_router(the_17th_request_is_refused),
		with_router(a_client_that_goes_does_not_stop_its_command),
		with_router(a_request_of_a_client_that_went_at_once_is_begun),
		with_router(a_client_that_goes_lets_its_paused_commands_go_on),
		with_router(a_client_that_ended_its_writing_gets_its_answers),
		with_router(an_idle_client_that_ended_its_writing_is_closed),
		with_router(only_its_owner_can_use_it),
		with_router(what_a_dead_process_left_is_replaced),
		with_router(a_living_router_is_not_replaced),
		with_router(a_busy_router_is_a_living_one),
		with_router(a_file_that_is_no_socket_is_left_alone),
		with_router(a_path_that_cannot_be_is_said_so),
		with_router(a_stopped_listener_answers_what_is_under_way_and_takes_no_more),
		with_router(a_closed_listener_leaves_nothing_behind),
		with_router(closing_sends_the_last_answers),
		cmocka_unit_test(closing_no_listener_does_nothing),
	};

	return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
