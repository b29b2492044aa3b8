/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "move_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/buffer.h"
#include "move.h"
#include "moves.h"
#include "router_client.h"

#define MOVES_MAX 16384	   /* of a request */
#define REQUESTS_MAX 8	   /* under way */
#define TEXT_MAX (1 << 20) /* read ahead */
#define WORDS_MAX 8

/* A request that is under way; its place is its tag. */
struct request {
	size_t n, n_done; /* sessions; n is 0 if none is */
};

struct stream {
	const struct cli *cli;
	const char *service, *path;
	struct router_client *client;
	int fd;
	struct buffer text;
	unsigned long line; /* number of the last that was taken */
	bool ended;	    /* nothing more is read */
	bool failed;	    /* after a message */
	bool refused;	    /* by the router */
	struct request requests[REQUESTS_MAX];
	unsigned int n_under_way;
	size_t n_sent, n_answered;
	struct moves moves;
	struct timespec since; /* when the first of those under way was sent */
	double busy_ms;	       /* that any was under way, before that */
};

static double ms_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * 1e3 + (now.tv_nsec - start->tv_nsec) / 1e6;
}

/* Takes no more lines; what is under way is waited for. */
static void stream_end(struct stream *s)
{
	s->ended = true;
	buffer_free(&s->text);
}

static void stream_fail(struct stream *s, const char *why)
{
	cli_progress_end();
	cli_failed(s->cli, "%s:%lu: %s", s->path, s->line, why);
	s->failed = true;
	stream_end(s);
}

/* In place; more than there may be are as wrong as one too many. 0 of a line that is empty or a comment. */
static int words_split(char *line, char *words[WORDS_MAX])
{
	char *rest, *word = strtok_r(line, " \t\r", &rest);
	int n = 0;

	if (word && *word == '#')
		return 0;
	for (; word && n < WORDS_MAX; word = strtok_r(NULL, " \t\r", &rest))
		words[n++] = word;
	return n;
}

/* A zero in a line would hide what stands behind it. */
static void line_take(struct stream *s, char *line, size_t len, json_t *moves)
{
	char why[TARGET_WHY_LEN] = "a line holds no zero bytes", *words[WORDS_MAX];
	bool whole = strlen(line) == len;
	json_t *move = NULL;
	int n;

	s->line++;
	n = whole ? words_split(line, words) : 1;
	if (n == 0)
		return;
	if (!whole || move_parse(n, words, &move, why))
		stream_fail(s, why);
	else
		json_array_append_new(moves, move);
}

/* As many of the lines that are there as a request may hold. A new reference. */
static json_t *lines_take(struct stream *s)
{
	json_t *moves = json_array();
	char *line;
	size_t len;

	while (json_array_size(moves) < MOVES_MAX && (line = buffer_line(&s->text, &len)))
		line_take(s, line, len, moves);
	return moves;
}

static int request_send(struct stream *s, json_t *moves)
{
	unsigned int i = 0;

	while (s->requests[i].n)
		i++;
	s->requests[i] = (struct request){ .n = json_array_size(moves) };
	s->n_sent += s->requests[i].n;
	if (s->n_under_way++ == 0)
		clock_gettime(CLOCK_MONOTONIC, &s->since);
	return router_client_send(s->client, i, json_pack("{s:s,s:s,s:o}", "command", "session move", "service",
							   s->service, "moves", moves));
}

/* Sends the lines that are there, if there is place for a request. */
static int stream_send(struct stream *s)
{
	int ret = CLI_OK;

	while (!ret && s->n_under_way < REQUESTS_MAX) {
		json_t *moves = lines_take(s);

		if (!json_array_size(moves)) {
			json_decref(moves);
			break;
		}
		ret = request_send(s, moves);
	}
	return ret;
}

static bool fd_is_ready(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static void read_failed(struct stream *s, int error)
{
	cli_progress_end();
	cli_failed(s->cli, "cannot read '%s': %s", s->path, strerror(error));
	s->failed = true;
	s->ended = true;
}

/* Reads what is there. The last line may lack its newline. */
static void stream_read(struct stream *s)
{
	ssize_t n;

	do
		n = buffer_read(&s->text, s->fd);
	while (n > 0 && fd_is_ready(s->fd));
	if (n == 0) {
		s->ended = true;
		buffer_append(&s->text, "\n", 1);
	} else if (n < 0 && n != -EAGAIN && n != -ENOBUFS) {
		read_failed(s, -n);
	}
}

static void progress_draw(const struct stream *s)
{
	size_t n_done = s->n_answered;
	unsigned int i;

	for (i = 0; i < REQUESTS_MAX; i++)
		n_done += s->requests[i].n_done;
	cli_progress("moving: %zu of %zu sessions", n_done, s->n_sent);
}

static void request_end(struct stream *s, struct request *request)
{
	s->n_answered += request->n;
	*request = (struct request){};
	if (--s->n_under_way == 0)
		s->busy_ms += ms_since(&s->since);
}

/* The others that are under way will hardly fare better: one sentence does. */
static void request_failed(struct stream *s, const char *error)
{
	cli_progress_end();
	if (!s->refused)
		cli_failed(s->cli, "%s", error);
	s->refused = s->failed = true;
	stream_end(s);
}

static void stream_answer(struct stream *s, const json_t *line)
{
	json_int_t tag = json_integer_value(json_object_get(line, "tag"));
	const json_t *progress = json_object_get(line, "progress");
	const char *error = json_string_value(json_object_get(line, "error"));
	struct request *request = &s->requests[tag & (REQUESTS_MAX - 1)];

	_Static_assert((REQUESTS_MAX & (REQUESTS_MAX - 1)) == 0, "a mask keeps tags in their bounds");
	if (!request->n)
		return;
	if (progress)
		request->n_done = json_integer_value(json_object_get(progress, "done"));
	else if (error)
		request_failed(s, error);
	else if (json_object_get(line, "done"))
		moves_add(s->cli, &s->moves, json_object_get(line, "result"));
	if (error || json_object_get(line, "done"))
		request_end(s, request);
	progress_draw(s);
}

/* If there is place for a request no whole line is left. */
static void stream_check(struct stream *s)
{
	if (s->n_under_way == REQUESTS_MAX || !buffer_len(&s->text) || (!s->ended && buffer_len(&s->text) < TEXT_MAX))
		return;
	s->line++;
	stream_fail(s, "the line is too long");
}

static int stream_step(struct stream *s)
{
	bool more = !s->ended && s->n_under_way < REQUESTS_MAX;
	json_t *line;
	int ret = router_client_wait(s->client, more ? s->fd : -1, &line);

	if (ret)
		return ret;
	if (line)
		stream_answer(s, line);
	else
		stream_read(s);
	json_decref(line);
	ret = stream_send(s);
	if (!ret)
		stream_check(s);
	return ret;
}

static int stream_run(struct stream *s)
{
	int ret = CLI_OK;

	while (!ret && (s->n_under_way || !s->ended || buffer_len(&s->text)))
		ret = stream_step(s);
	if (s->moves.n_results > 1)
		s->moves.time_ms = s->busy_ms; /* they overlapped */
	if (!ret && !s->failed)
		return moves_print(s->cli, &s->moves);
	if (s->moves.n_results)
		moves_print(s->cli, &s->moves);
	return CLI_FAILED;
}

static int file_open(const char *path)
{
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return fd;
	close(fd);
	return -EISDIR;
}

int move_file(const struct cli *cli, const char *service, const char *path)
{
	struct stream s = { .cli = cli, .service = service, .path = path, .text.max = TEXT_MAX };
	int ret = CLI_FAILED;

	if (!strcmp(path, "-"))
		s.path = "stdin";
	s.fd = file_open(path);
	if (s.fd < 0)
		return cli_failed(cli, "cannot read '%s': %s", path, strerror(-s.fd));
	s.client = router_client_open(cli, MOVE_OTHERWISE);
	if (s.client)
		ret = stream_run(&s);
	router_client_close(s.client);
	buffer_free(&s.text);
	moves_free(&s.moves);
	close(s.fd);
	return ret;
}
