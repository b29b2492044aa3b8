/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two ends of one host are joined, past TCP: the same bytes, in order, and the end after them. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "local_load.h"
#include "prog.h"

#define BULK (64u << 20)

static char cgroup[300];

static bool cgroup_enter(const char *dir)
{
	char path[320];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	f = fopen(path, "w");
	ok = f && fprintf(f, "%d\n", getpid()) > 0;
	return f && fclose(f) == 0 && ok;
}

/* A cgroup of our own, in the first hierarchy of version 2. False if there is none. */
static bool cgroup_make(char root[256])
{
	FILE *f = fopen("/proc/mounts", "r");
	char line[512], type[32];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*s %255s %31s", root, type) == 2 && !strcmp(type, "cgroup2");
	if (f)
		fclose(f);
	snprintf(cgroup, sizeof(cgroup), "%s/xsr-test-%d", root, getpid());
	return found && mkdir(cgroup, 0755) == 0 && cgroup_enter(cgroup);
}

struct ends {
	int client, server;
};

static struct ends ends_open(int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port) };
	struct timeval limit = { .tv_sec = 2 };
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	struct ends e;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_false(bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, 1));
	e.client = socket(AF_INET, SOCK_STREAM, 0);
	assert_false(connect(e.client, (struct sockaddr *)&addr, sizeof(addr)));
	e.server = accept(listener, NULL, NULL);
	assert_true(e.server >= 0);
	setsockopt(e.client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(e.server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	close(listener);
	return e;
}

static void ends_close(const struct ends *e)
{
	close(e->client);
	close(e->server);
}

static struct local *open_local(struct prog *prog)
{
	char why[LOCAL_WHY_LEN];
	struct local *local;

	if (local_open(&local, prog->maps, cgroup, why))
		fail_msg("%s", why);
	return local;
}

static struct prog_service service_start(struct prog *prog)
{
	return prog_service_add(prog, &(struct service_spec){
					      .name = "local", .protocol = "tcp", .address = "127.0.0.1:7100", .id = "none", .mode = "local" });
}

static void talk(const struct ends *e, const char *words)
{
	char heard[64];

	assert_int_equal(send(e->client, words, strlen(words), 0), strlen(words));
	assert_int_equal(recv(e->server, heard, sizeof(heard), 0), strlen(words));
	assert_memory_equal(heard, words, strlen(words));
	assert_int_equal(send(e->server, words, strlen(words), 0), strlen(words));
	assert_int_equal(recv(e->client, heard, sizeof(heard), 0), strlen(words));
	assert_memory_equal(heard, words, strlen(words));
}

static struct xsr_local_counters counted(const struct local *local, uint32_t service)
{
	struct xsr_local_counters counters;

	assert_int_equal(local_sum(local, service, &counters), 0);
	return counters;
}

static void both_ways_of_a_connection_are_joined(void **state)
{
	struct prog_service service = service_start(*state);
	struct local *local = open_local(*state);
	struct ends e = ends_open(7100);
	struct xsr_local_counters counters;
	char byte;

	talk(&e, "hello");
	talk(&e, "again");
	counters = counted(local, service.index);
	assert_int_equal(counters.n[XSR_LOCAL_STAT_ENDS], 2);
	assert_int_equal(counters.n[XSR_LOCAL_STAT_JOINED], 2);
	assert_int_equal(counters.n[XSR_LOCAL_STAT_PLAIN], 0);
	assert_int_equal(counters.n[XSR_LOCAL_STAT_MESSAGES], 4);
	assert_int_equal(counters.n[XSR_LOCAL_STAT_BYTES], 20);
	/* The end comes after the last bytes. */
	assert_int_equal(send(e.client, "x", 1, 0), 1);
	close(e.client);
	assert_int_equal(recv(e.server, &byte, 1, 0), 1);
	assert_int_equal(recv(e.server, &byte, 1, 0), 0);
	close(e.server);
	local_close(local);
}

static void other_connections_stay_with_tcp(void **state)
{
	struct prog_service service = service_start(*state);
	struct local *local = open_local(*state);
	struct ends e = ends_open(7101);

	talk(&e, "hello");
	assert_int_equal(counted(local, service.index).n[XSR_LOCAL_STAT_ENDS], 0);
	assert_int_equal(counted(local, 0).n[XSR_LOCAL_STAT_ENDS], 0);
	ends_close(&e);
	local_close(local);
}

/* Of two ends one was there before the programs were. */
static void a_connection_that_was_there_before_is_left_alone(void **state)
{
	struct prog_service service = service_start(*state);
	struct ends e = ends_open(7100);
	struct local *local = open_local(*state);

	talk(&e, "hello");
	assert_int_equal(counted(local, service.index).n[XSR_LOCAL_STAT_ENDS], 0);
	ends_close(&e);
	local_close(local);
}

static void a_connection_outlives_the_programs(void **state)
{
	struct ends e;
	struct local *local;

	service_start(*state);
	local = open_local(*state);
	e = ends_open(7100);
	talk(&e, "hello");
	local_close(local);
	talk(&e, "again");
	ends_close(&e);
}

static void *bulk_send(void *arg)
{
	static uint8_t bytes[1 << 16];
	const struct ends *e = arg;
	size_t sent, n, i;

	for (sent = 0; sent < BULK; sent += n) {
		n = 1 + sent * 7919 % (sizeof(bytes) - 1);
		if (n > BULK - sent)
			n = BULK - sent;
		for (i = 0; i < n; i++)
			bytes[i] = (sent + i) % 251;
		if (send(e->client, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
			break;
	}
	shutdown(e->client, SHUT_WR);
	return NULL;
}

static void every_byte_arrives_in_order(void **state)
{
	static uint8_t bytes[1 << 16];
	struct prog_service service = service_start(*state);
	struct local *local = open_local(*state);
	struct ends e = ends_open(7100);
	size_t got = 0, wrong = 0;
	pthread_t thread;
	ssize_t n, i;

	assert_false(pthread_create(&thread, NULL, bulk_send, &e));
	while ((n = recv(e.server, bytes, sizeof(bytes), 0)) > 0)
		for (i = 0; i < n; i++, got++)
			wrong += bytes[i] != got % 251;
	pthread_join(thread, NULL);
	assert_int_equal(n, 0);
	assert_int_equal(got, BULK);
	assert_int_equal(wrong, 0);
	assert_int_equal(counted(local, service.index).n[XSR_LOCAL_STAT_BYTES], BULK);
	ends_close(&e);
	local_close(local);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(both_ways_of_a_connection_are_joined),
		prog_test(other_connections_stay_with_tcp),
		prog_test(a_connection_that_was_there_before_is_left_alone),
		prog_test(a_connection_outlives_the_programs),
		prog_test(every_byte_arrives_in_order),
	};
	char root[256];
	int ret;

	if (!cgroup_make(root)) {
		printf("there is no cgroup of version 2 to attach to\n");
		return 77;
	}
	ret = prog_run_tests(tests);
	if (cgroup_enter(root))
		rmdir(cgroup);
	return ret;
}
